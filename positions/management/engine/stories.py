"""Which swaps belong to which position of the export, and what makes up for swaps that are not in it.

A position of the engine has the swaps that it lists, and those of its wallet and token from its first purchase to its
last sale. Where something is missing, the figures of the export are booked in its place, and a note says so:
- an open position that lists a swap which is not there: a balance, which states its figures;
- a closed one: a purchase or a sale, which leads to its profit;
- tokens that were sold and never bought: an airdrop of them; tokens that were left when it was closed: a transfer out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from positions.books.accounting import PRICE, ZERO, digits
from positions.books.trades import Side
from positions.management.engine.records import ClosedRow, OpenRow, Problem
from positions.management.engine.swaps import Swap, rounded
from positions.management.engine.tables import POSITIONS, SWAPS

TICK = timedelta(microseconds=1)
DUST = Decimal("0.001")
"""Tokens. The engine forgets what is left of a closed position if it is less than this."""
TAKES = {Side.SALE, Side.TRANSFER_OUT}


@dataclass(slots=True)
class Story:
    """A position of the export, with its swaps in the order of their execution."""

    row: OpenRow | ClosedRow
    swaps: list[Swap] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.row.id)

    @property
    def start(self) -> datetime:
        return self.row.created_at if isinstance(self.row, OpenRow) else self.row.opened_at

    @property
    def end(self) -> datetime | None:
        return None if isinstance(self.row, OpenRow) else self.row.closed_at

    @property
    def listed(self) -> tuple[str, ...]:
        if isinstance(self.row, OpenRow):
            return self.row.transactions
        return tuple(filter(None, (self.row.purchase, self.row.sale)))

    @property
    def table(self) -> str:
        return POSITIONS.name if isinstance(self.row, OpenRow) else SWAPS.name


def tell(swaps: Iterable[Swap], rows: Sequence[OpenRow | ClosedRow], notes: list[Problem]) -> list[Swap]:
    """Return the trades of one token in one wallet, in order, each with its position's name; "" where it has none."""
    stories = [Story(row) for row in rows]
    by_id = {identity: story for story in stories for identity in story.listed}
    in_order = sorted(swaps, key=lambda swap: swap.time)
    begins = {id(story): story.start for story in stories}
    for swap in in_order:
        if (story := by_id.get(swap.engines_id)) is not None:
            begins[id(story)] = min(begins[id(story)], swap.time)
    alone: list[Swap] = []
    for swap in in_order:
        story = by_id.get(swap.engines_id) or _at(swap.time, stories, begins)
        if story is None:
            alone.append(swap)
        else:
            swap.story = story.name
            story.swaps.append(swap)
    told = list(_held(alone, notes))
    for story in stories:
        told += _closed(story, notes) if isinstance(story.row, ClosedRow) else _open(story, notes)
    return sorted(told, key=lambda swap: swap.time)


def _at(moment: datetime, stories: Iterable[Story], begins: dict[int, datetime]) -> Story | None:
    """Return the position that was open at this moment."""
    for story in stories:
        if begins[id(story)] <= moment and (story.end is None or moment <= story.end):
            return story
    return None


def _open(story: Story, notes: list[Problem]) -> Iterator[Swap]:
    row = story.row
    assert isinstance(row, OpenRow)  # noqa: S101  the caller has looked
    there = {swap.engines_id for swap in story.swaps}
    missing = [identity for identity in row.transactions if identity not in there]
    if not missing and row.transactions:
        yield from _held(story.swaps, notes)
        return
    if not row.transactions or row.transactions[0] in missing:
        story.swaps = []  # without the purchase that opened it, they lead nowhere
    yield from _held(story.swaps, notes)
    moments = [row.created_at, row.last_dca_time, row.last_take_profit_time]
    moments += [swap.time + TICK for swap in story.swaps]
    with localcontext(prec=80):
        cost = (row.invested_sol / row.bought).quantize(PRICE) if row.bought else ZERO
    figures = {
        "purchase_price": digits(cost),
        "purchase_amount": digits(row.bought),
        "remaining_amount": digits(row.held),
        "total_invested_sol": digits(rounded(row.invested_sol)),
        "realized_profit_sol": digits(rounded(row.realized_sol)),
        "dca_count": row.dca_count,
    }
    count = f"{len(missing)} of its transactions" if row.transactions else "its transactions"
    verb = "is" if len(missing) == 1 else "are"
    notes.append(_note(story, f"{count} {verb} not in the export: its figures are booked as a balance"))
    yield replace(
        _made(story, Side.BALANCE, row.held, ZERO, max(filter(None, moments)), ""),
        transaction_id=None,
        figures=figures,
    )


def _closed(story: Story, notes: list[Problem]) -> Iterator[Swap]:
    row = story.row
    assert isinstance(row, ClosedRow)  # noqa: S101  the caller has looked
    there = {swap.engines_id for swap in story.swaps}
    bought = [swap for swap in story.swaps if swap.side is Side.PURCHASE]
    sold = [swap for swap in story.swaps if swap.side is Side.SALE]
    tokens = row.bought - sum((swap.tokens for swap in bought), ZERO)
    invested, proceeds = (sum((swap.sol for swap in swaps), ZERO) for swaps in (bought, sold))
    has_sale = row.sale in there
    if row.purchase not in there and tokens > ZERO:
        with localcontext(prec=80):
            cost = proceeds - row.profit_sol - invested if has_sale else tokens * row.purchase_price
        cost = rounded(max(ZERO, cost))
        invested += cost
        begin = min([story.start, *(swap.time - TICK for swap in story.swaps)])
        side = Side.PURCHASE if cost else Side.AIRDROP
        story.swaps.insert(0, _made(story, side, tokens, cost, begin, ":purchase"))
        notes.append(_note(story, f"its purchase is not in the export: booked as {digits(cost)} SOL"))
    if not has_sale:
        left = _sum_held(story.swaps)
        if left > ZERO:
            brought = rounded(max(ZERO, invested + row.profit_sol - proceeds))
            end = max([row.closed_at, *(swap.time + TICK for swap in story.swaps)])
            story.swaps.append(_made(story, Side.SALE, left, brought, end, ":sale"))
            notes.append(_note(story, f"its sale is not in the export: booked as {digits(brought)} SOL"))
    told = list(_held(story.swaps, notes))
    yield from told
    left = _sum_held(told)
    if left > ZERO:
        last = told[-1]
        if left < DUST and last.side is Side.SALE:
            last.tokens += left
        else:
            notes.append(
                _note(story, f"closed with {digits(left)} tokens left: they are booked as sent away")
            )
            yield _made(story, Side.TRANSFER_OUT, left, ZERO, last.time + TICK, ":rest")


def _held(swaps: Iterable[Swap], notes: list[Problem]) -> Iterator[Swap]:
    """Yield the swaps, none of which sells more than is held then."""
    held = ZERO
    for swap in swaps:
        if swap.side in TAKES and swap.tokens > held:
            lacking = swap.tokens - held
            if held and lacking < DUST:
                swap.tokens = held
            else:
                text = f"sells {digits(lacking)} more than was held: they are booked as an airdrop"
                notes.append(Problem(swap.table, swap.row, text))
                identity = None if swap.transaction_id is None else f"{swap.transaction_id}:more"
                yield replace(
                    swap,
                    side=Side.AIRDROP,
                    tokens=lacking,
                    sol=ZERO,
                    fee_sol=ZERO,
                    time=swap.time - TICK,
                    transaction_id=identity,
                )
                held += lacking
        held += -swap.tokens if swap.side in TAKES else swap.tokens
        yield swap


def _sum_held(swaps: Iterable[Swap]) -> Decimal:
    return sum((-swap.tokens if swap.side in TAKES else swap.tokens for swap in swaps), ZERO)


def _made(story: Story, side: Side, tokens: Decimal, sol: Decimal, moment: datetime, suffix: str) -> Swap:
    """Return a trade that the export does not have."""
    row = story.row
    return Swap(
        table=story.table,
        row=row.row,
        engines_id="",
        transaction_id=story.name + suffix,
        wallet=row.wallet,
        token=row.token,
        symbol=row.symbol,
        side=side,
        tokens=tokens,
        sol=sol,
        time=moment,
        story=story.name,
    )


def _note(story: Story, text: str) -> Problem:
    return Problem(story.table, story.row.row, text)
