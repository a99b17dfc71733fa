"""Any sequence of trades, in any order of booking: the row is their fold, and no money is made or lost.

What is right is worked out beside it, in exact fractions, with the average-cost method written down once more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, event, given, reject, settings
from hypothesis import strategies as st

from positions import services
from positions.books.accounting import Holding, digits, value
from positions.books.live import live
from positions.books.snapshots import snapshot
from positions.books.trades import Side, fold
from positions.errors import PositionsError
from positions.models import Position, Trade, Wallet
from positions.prices.cache import get_prices
from positions.prices.quotes import Quote
from realtime.protocol.messages import encode
from tests.conftest import fresh_token
from tests.live import PATIENCE_SECONDS, ROOT, access_token
from tests.positions.market import put
from tests.positions.test_accounting import EVERY_DIGIT, any_size

HALF_PRICE = Fraction(1, 2 * 10**30)
HALF_LAMPORT = Fraction(1, 2 * 10**9)
HALF_UNIT_OF_USD = Fraction(1, 2 * 10**9)


@dataclass
class Exact:
    """One position's books after each trade in the order of execution, as fractions."""

    trades: list[tuple[datetime, datetime, str, Fraction, Fraction, Fraction | None]] = field(
        default_factory=list
    )

    def add(self, trade: Trade) -> None:
        rate = None if trade.sol_usd is None else Fraction(trade.sol_usd)
        moment = (trade.executed_at, trade.recorded_at)
        self.trades.append((*moment, trade.side, Fraction(trade.tokens), Fraction(trade.sol), rate))
        self.trades.sort(key=lambda each: each[:2])

    def check(self, position: Position) -> None:
        """Compare the row with what the trades lead to, within what its roundings can be off by."""
        held = bought = cost = paid = received = sent = Fraction(0)
        cost_usd: Fraction | None = Fraction(0)
        realized_usd: Fraction | None = Fraction(0)
        off = off_usd = Fraction(0)
        """How far the roundings of the stored figures can be from these."""
        for _, _, side, tokens, sol, rate in self.trades:
            usd = Fraction(0) if not sol else None if rate is None else sol * rate
            if side in {Side.PURCHASE, Side.AIRDROP, Side.TRANSFER_IN}:
                held, bought, cost, paid = held + tokens, bought + tokens, cost + sol, paid + sol
                cost_usd = None if cost_usd is None or usd is None else cost_usd + usd
                off += HALF_PRICE * held
            else:
                share = cost * tokens / held
                share_usd = None if cost_usd is None else cost_usd * tokens / held
                if side == Side.SALE:
                    received += sol
                    unknown = realized_usd is None or usd is None or share_usd is None
                    realized_usd = None if unknown else realized_usd + usd - share_usd  # type: ignore[operator]
                else:
                    sent += share
                held, cost = held - tokens, cost - share
                left = None if cost_usd is None or share_usd is None else cost_usd - share_usd
                cost_usd = left if held else Fraction(0)
            off += HALF_LAMPORT
            off_usd += 3 * HALF_UNIT_OF_USD
        assert Fraction(position.remaining_amount) == held
        assert Fraction(position.purchase_amount) == bought
        assert Fraction(position.total_invested_sol) == paid
        assert position.status == ("open" if held else "closed")
        kept = Fraction(position.purchase_price) * held
        assert abs(kept - cost) <= off
        # Neither made nor lost: what went in is what came out, what was sent away at cost, and what is still there.
        assert abs(paid + Fraction(position.realized_profit_sol) - (received + sent + kept)) <= off
        for stored, exact in (
            (position.books.cost_usd, cost_usd),
            (position.books.realized_profit_usd, realized_usd),
        ):
            if stored is None or exact is None:
                assert (stored is None) == (exact is None)
            else:
                assert abs(Fraction(stored) - exact) <= off_usd


tokens = any_size(24, 9)
sol = any_size(16, 9)
shares = st.fractions(Fraction(1, 1000), 1)
terms = st.fixed_dictionaries(
    {},
    optional={
        "fee_sol": any_size(10, 9),
        "sol_usd": any_size(12, 6),
        "executed_at": st.integers(1, 400_000),
    },
)
purchases = st.tuples(st.just("purchase"), terms, tokens, sol)
airdrops = st.tuples(st.just("airdrop"), terms, tokens)
transfers_in = st.tuples(st.just("transfer_in"), terms, tokens, sol)
sales = st.tuples(st.just("sale"), terms, shares, sol)
transfers_out = st.tuples(st.just("transfer_out"), terms, shares)
closes = st.tuples(st.just("close"), terms, sol)
steps = st.one_of(purchases, airdrops, transfers_in, sales, transfers_out, closes)


def part_of(held: Decimal, share: Fraction) -> Decimal:
    """Return a share of what is held, in the units of its mint."""
    return Decimal(int(Fraction(held) * share * 10**9)).scaleb(-9, EVERY_DIGIT)


def take(step: tuple[Any, ...], wallet: Wallet, token: str, position: Position | None) -> Position | None:
    """Book a step through the services, as a bot would; None where nothing is held that could be sold."""
    kind, given_terms, *amounts = step
    known = dict(given_terms)
    if "executed_at" in known:
        known["executed_at"] = timezone.now() - timedelta(minutes=known["executed_at"])
    if position is None:
        if kind not in {"purchase", "airdrop", "transfer_in"}:
            return None
        spent = amounts[1] if len(amounts) > 1 else Decimal(0)
        return services.open_position(
            wallet=wallet, token_address=token, tokens=amounts[0], spent_sol=spent, side=Side(kind), **known
        )
    of = {"position_id": position.pk, **known}
    match kind:
        case "purchase":
            return services.buy_more(tokens=amounts[0], spent_sol=amounts[1], **of)
        case "airdrop":
            return services.book_airdrop(tokens=amounts[0], **of)
        case "transfer_in":
            return services.transfer_in(tokens=amounts[0], cost_sol=amounts[1], **of)
        case "sale":
            sold = part_of(position.remaining_amount, amounts[0])
            return services.take_profit(tokens=sold, proceeds_sol=amounts[1], **of) if sold else None
        case "transfer_out":
            sent = part_of(position.remaining_amount, amounts[0])
            return services.transfer_out(tokens=sent, **of) if sent else None
        case "close":
            return services.close_position(proceeds_sol=amounts[0], **of)
    raise AssertionError(kind)


@pytest.mark.django_db
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=st.one_of(purchases, airdrops, transfers_in), more=st.lists(steps, min_size=3, max_size=10))
def test_row_is_the_fold_of_its_trades_and_money_is_conserved(
    wallet: Wallet, first: tuple[Any, ...], more: list[tuple[Any, ...]]
):
    with transaction.atomic():
        books: dict[Any, Exact] = {}
        position: Position | None = None
        token = fresh_token()
        for step in [first, *more]:
            known = set(Trade.objects.values_list("pk", flat=True))
            before = None if position is None else Position.objects.get(pk=position.pk)
            try:
                with transaction.atomic():
                    after = take(step, wallet, token, position)
            except PositionsError as error:
                event(f"refused: {type(error).__name__}")
                assert set(Trade.objects.values_list("pk", flat=True)) == known, "a refused trade is booked"
                if before is not None:
                    now = Position.objects.get(pk=before.pk)
                    assert snapshot(now) == snapshot(before), "a refused trade changes the position"
                continue
            if after is None:
                continue
            event(f"booked: {step[0]}")
            (trade,) = Trade.objects.exclude(pk__in=known)
            books.setdefault(after.pk, Exact()).add(trade)
            row = Position.objects.get(pk=after.pk)
            books[row.pk].check(row)
            in_order = Trade.objects.filter(position=row).order_by("executed_at", "recorded_at")
            assert fold(in_order) == row.books
            position = row if row.status == "open" else None
        transaction.set_rollback(True)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=purchases, more=st.lists(steps, max_size=3), price=any_size(20, 18), sol_usd=any_size(9, 6))
def test_rest_says_of_a_position_what_the_socket_says(
    wallet: Wallet,
    client: Client,
    first: tuple[Any, ...],
    more: list[tuple[Any, ...]],
    price: Decimal,
    sol_usd: Decimal,
):
    """Both say it in the words of `live`: the socket's tests hold it to that."""
    with transaction.atomic():
        token = fresh_token()
        try:
            position = take(("purchase", {}, *first[2:]), wallet, token, None)
        except PositionsError:  # so much for so little that no price can be that high
            reject()
        assert position is not None
        for step in more:
            with suppress(PositionsError), transaction.atomic():
                position = take(step, wallet, token, Position.objects.get(pk=position.pk)) or position
        quote = Quote(token, price, price * sol_usd, timezone.now())
        put(quote)
        headers = {"Authorization": f"Bearer {access_token(wallet.agent.owner)}"}
        answer = client.get(f"/api/positions/{position.pk}/", headers=headers)
        row = Position.objects.get(pk=position.pk)
        quote = get_prices([token]).quotes[token]
        rest = json.loads(answer.content, parse_float=str, parse_int=str)
        transaction.set_rollback(True)
        if row.status == "closed":  # the socket says no more of it
            assert rest["status"] == "closed"
            return
        wire = json.loads(encode(live(snapshot(row), quote, sol_usd=None)), parse_float=str, parse_int=str)
        assert {name: rest[name] for name in wire} == wire


holdings = st.fixed_dictionaries(
    {
        "purchasePrice": any_size(42, 30),
        "remainingAmount": any_size(39, 18),
        "totalInvestedSol": any_size(20, 9),
        "realizedProfitSol": st.builds(
            Decimal.__mul__, any_size(20, 9), st.sampled_from([Decimal(-1), Decimal(1)])
        ),
        "price": any_size(42, 30),
        "priceUsd": st.none() | any_size(30, 18),
    }
)
TWIN = """
import { value } from "%s";
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(JSON.parse(line).map((each) => value(each, each.price, each.priceUsd))));
}
"""


@pytest.fixture(scope="module")
def page() -> Iterator[subprocess.Popen[str]]:
    """The browser's accounting.js, in node: a line of holdings in, a line of their values out."""
    if shutil.which("node") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "NO NODE: accounting.js was not run."
        )
    accounting = TWIN % (ROOT / "realtime/static/realtime/accounting.js").as_uri()
    command = ["node", "--input-type=module", "-e", accounting]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:
        yield node
        assert node.stdin is not None
        node.stdin.close()
        assert node.wait(PATIENCE_SECONDS) == 0


@settings(max_examples=10, deadline=None)
@given(cases=st.lists(holdings, min_size=20, max_size=60))
def test_page_values_any_holding_as_the_server_does(
    page: subprocess.Popen[str], cases: list[dict[str, Decimal | None]]
):
    assert page.stdin is not None
    assert page.stdout is not None
    print(json.dumps(cases, default=digits), file=page.stdin, flush=True)
    assert json.loads(page.stdout.readline()) == [_valued(case) for case in cases]


def _valued(case: dict[str, Any]) -> dict[str, str | None]:
    quote = Quote("token", case["price"], case["priceUsd"], timezone.now())
    held = Holding(
        purchase_price=case["purchasePrice"],
        remaining_amount=case["remainingAmount"],
        total_invested_sol=case["totalInvestedSol"],
        realized_profit_sol=case["realizedProfitSol"],
    )
    worth = value(held, price=quote.price, sol_usd=quote.sol_usd)
    return {
        camel(name): None if number is None else digits(number) for name, number in worth._asdict().items()
    }


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
