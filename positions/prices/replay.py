"""Prices from a CSV file, played back step by step: `time,token,price[,price_usd]`.

The whole file is read and checked at the start, so that a mistake in line 9,000 is found before the first round.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation, localcontext
from pathlib import Path

from positions.prices.quotes import WRAPPED_SOL, Prices, Quote, SourceError, Token, in_usd, usable

REQUIRED = ("time", "token", "price")
SOL_NAMES = (WRAPPED_SOL, "SOL")


@dataclass(frozen=True, slots=True)
class Row:
    price: Decimal
    """In SOL."""
    price_usd: Decimal | None


Step = dict[str, Row]
"""The rows of one moment, by token as the file names it."""


class ReplaySource:
    """Each round plays `speed` steps, a step being all rows of one moment; the first round plays the first.

    A row's token is an address or a symbol, in its exact case; an address comes before a symbol, and a symbol
    prices every held token of that name. A token without a row in a step keeps its last price.
    After the last step prices stay, with a note once; with `loop`, the file begins again.

    `as_of` is the time of the round, not the file's: it shows whether the feed is alive. USD
    comes from the column `price_usd`; a row without it is priced with SOL in USD as the step's row of SOL has
    it (an address or the symbol SOL), else as its first row with both prices; without any, USD is unknown.
    """

    name = "replay"
    simulated = False

    def __init__(self, path: Path, *, speed: int = 1, loop: bool = False) -> None:
        """Read the file. Raises SourceError naming the file, the line and what is wrong with it."""
        self._name = path.name
        self._moments, self._steps = _read(path)
        self._speed = speed
        self._loop = loop
        self._next = 0  # index of the step to play next
        self._rows: Step = {}
        self._sol_usd: Decimal | None = None
        self._ended = False

    def first_prices(self) -> dict[str, Decimal]:
        """Return what each token of the file costs, in SOL, where it first comes up."""
        prices: dict[str, Decimal] = {}
        for step in self._steps:
            for token, row in step.items():
                prices.setdefault(token, row.price)
        return prices

    async def fetch(self, tokens: Collection[Token]) -> Prices:
        """Play on. Never fails; that no token of the file is held is among the errors."""
        notes = self._advance()
        now = datetime.now(UTC)
        quotes = {}
        for token in tokens:
            row = self._rows.get(token.address, self._rows.get(token.symbol))
            if token.address == WRAPPED_SOL:
                row = Row(Decimal(1), self._sol_usd)
            if row is not None:
                price_usd = in_usd(row.price, self._sol_usd) if row.price_usd is None else row.price_usd
                quotes[token.address] = Quote(token.address, row.price, price_usd, now)
        errors = []
        held = [token for token in tokens if token.address != WRAPPED_SOL]
        if held and not any(token.address in quotes for token in held):
            wanted = ", ".join(sorted({token.symbol or token.address for token in held})[:10])
            found = ", ".join(sorted(self._rows)[:10])
            errors.append(f"{self._name} has no price of any token held ({wanted}); it has {found}.")
        return Prices(quotes, self._sol_usd, errors, notes)

    async def aclose(self) -> None:
        """Nothing is open."""

    def _advance(self) -> list[str]:
        notes = []
        steps = 1 if self._next == 0 and not self._rows else self._speed
        for _ in range(steps):
            if self._next == len(self._steps):
                if not self._loop:
                    if not self._ended:
                        self._ended = True
                        last = self._moments[-1].isoformat().replace("+00:00", "Z")
                        notes.append(f"{self._name} has ended at {last}: prices stay as they are.")
                    break
                self._next = 0
                self._rows = {}
                self._sol_usd = None
            step = self._steps[self._next]
            self._rows = self._rows | step
            self._sol_usd = _sol_usd(step) or self._sol_usd
            self._next += 1
        return notes


def _sol_usd(step: Step) -> Decimal | None:
    priced = [step[name] for name in SOL_NAMES if name in step] + list(step.values())
    for row in priced:
        if row.price_usd is not None and row.price:
            with localcontext(prec=50):
                return usable(row.price_usd / row.price)
    return None


def _read(path: Path) -> tuple[list[datetime], list[Step]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SourceError(f"{path}, line {line}: not UTF-8 text.") from None
    steps: dict[datetime, Step] = {}
    for line, fields in _lines(path, text):
        try:
            moment, token, row = _row(fields)
        except ValueError as error:
            raise SourceError(f"{path}, line {line}: {error}.") from None
        step = steps.setdefault(moment, {})
        if token in step:
            raise SourceError(f"{path}, line {line}: {token} has a second price at {fields['time']}.")
        step[token] = row
    if not steps:
        raise SourceError(f"{path}: it contains no prices.")
    moments = sorted(steps)
    return moments, [steps[moment] for moment in moments]


def _lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row with its line number."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    try:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if header is None:
                header = [value.strip() for value in values]
                missing = [name for name in REQUIRED if name not in header]
                if missing:
                    raise SourceError(
                        f"{path}, line {reader.line_num}: the first line must name the columns"
                        f" time,token,price[,price_usd]; {' and '.join(missing)} missing."
                    )
                continue
            if len(values) != len(header):
                raise SourceError(
                    f"{path}, line {reader.line_num}: {len(values)} values in {len(header)} columns."
                )
            yield reader.line_num, dict(zip(header, (value.strip() for value in values), strict=True))
    except csv.Error as error:
        raise SourceError(f"{path}, line {reader.line_num}: not CSV: {error}.") from None


def _row(fields: dict[str, str]) -> tuple[datetime, str, Row]:
    """Raises ValueError with what is wrong."""
    try:
        moment = datetime.fromisoformat(fields["time"])
    except ValueError:
        raise ValueError(f"time must look like 2018-01-10T04:55:00Z; it is {fields['time']!r}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not fields["token"]:
        raise ValueError("token is empty")
    usd = fields.get("price_usd")
    price_usd = _price("price_usd", usd) if usd else None
    return moment.astimezone(UTC), fields["token"], Row(_price("price", fields["price"]), price_usd)


def _price(column: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
        price = usable(number)
        if price is None and 0 <= number < 1:
            price = Decimal(0)  # a token can become worthless
    except InvalidOperation:
        price = None
    if price is None:
        raise ValueError(f"{column} must be a number from 0 to below 10^12; it is {text!r}")
    return price
