"""Average-cost accounting, compared with exact fractions.

`python -m tests.positions.test_accounting` rewrites the file of test vectors from CASES below, with fractions and
independent formulas: the file follows the rules, not our function.
"""

from __future__ import annotations

import json
import re
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from positions.books.accounting import (
    AMOUNT_LIMIT,
    PRICE_LIMIT,
    SOL_LIMIT,
    Holding,
    buy,
    digits,
    exit_value,
    price_of,
    proceeds,
    profit_usd_at_cost,
    sell,
    sol_of,
    tokens_of,
    tokens_to_sell,
    value,
)
from positions.errors import InvalidAmount, NotEnoughTokens
from positions.prices.quotes import Quote

VECTORS = Path(__file__).parent.parent / "accounting_vectors.json"

EVERY_DIGIT = Context(prec=100)
"""An amount has up to 39 digits, and Decimal keeps 28 without being told."""
HALF_PRICE = Fraction(1, 2 * 10**30)
"""What rounding an average cost can be off by, in SOL for a token."""
HALF_LAMPORT = Fraction(1, 2 * 10**9)
"""What rounding a sum of SOL can be off by."""


def scaled(units: st.SearchStrategy[int], decimals: int) -> st.SearchStrategy[Decimal]:
    return units.map(lambda number: Decimal(number).scaleb(-decimals, EVERY_DIGIT))


# Every power of ten is as likely as the next: uniform numbers would hardly ever be small.
def any_size(digits: int, decimals: int) -> st.SearchStrategy[Decimal]:
    lengths = st.integers(1, digits)
    return scaled(lengths.flatmap(lambda length: st.integers(1, 10**length - 1)), decimals)


amounts = any_size(39, 18)
prices = any_size(42, 30)
sums_of_sol = any_size(20, 9)


class HoldingMachine(RuleBasedStateMachine):
    """Any sequence of purchases and sales of one token, with the exact sums alongside."""

    def __init__(self) -> None:
        super().__init__()
        self.holding = Holding()
        self.bought = self.sold = self.spent = self.received = Fraction(0)
        self.bound = Fraction(0)
        """How far rounding may have moved the books from the exact sums, in SOL: each rule adds its part."""

    @property
    def held(self) -> Fraction:
        return self.bought - self.sold

    @rule(tokens=amounts, spent_sol=sums_of_sol)
    def buy(self, tokens: Decimal, spent_sol: Decimal) -> None:
        before = self.holding
        bought, invested = self.bought + Fraction(tokens), self.spent + Fraction(spent_sol)
        cost = (Fraction(before.purchase_price) * self.held + Fraction(spent_sol)) / (
            self.held + Fraction(tokens)
        )
        if bought >= AMOUNT_LIMIT or invested >= SOL_LIMIT or cost >= PRICE_LIMIT:
            with pytest.raises(InvalidAmount):
                buy(before, tokens=tokens, spent_sol=spent_sol)
            return
        self.holding = buy(before, tokens=tokens, spent_sol=spent_sol)
        self.bought, self.spent = bought, invested
        # The average cost is rounded, once for each token held.
        self.bound += HALF_PRICE * self.held
        assert self.holding.realized_profit_sol == before.realized_profit_sol

    def sell(self, tokens: Decimal, proceeds_sol: Decimal) -> None:
        before = self.holding
        exact = Fraction(before.realized_profit_sol) + Fraction(proceeds_sol)
        if abs(exact - Fraction(before.purchase_price) * Fraction(tokens)) >= SOL_LIMIT:
            with pytest.raises(InvalidAmount):
                sell(before, tokens=tokens, proceeds_sol=proceeds_sol)
            return
        self.holding = sell(before, tokens=tokens, proceeds_sol=proceeds_sol)
        self.sold += Fraction(tokens)
        self.received += Fraction(proceeds_sol)
        # Realised profit is rounded to the lamport; the average cost is the same, so there is no other error.
        self.bound += HALF_LAMPORT
        assert self.holding.purchase_price == before.purchase_price
        assert self.holding.total_invested_sol == before.total_invested_sol
        assert self.holding.purchase_amount == before.purchase_amount

    @precondition(lambda self: self.holding.remaining_amount > 0)
    @rule(data=st.data(), proceeds_sol=st.one_of(st.just(Decimal(0)), sums_of_sol))
    def sell_a_part(self, data: st.DataObject, proceeds_sol: Decimal) -> None:
        units = int(self.holding.remaining_amount.scaleb(18, EVERY_DIGIT))
        self.sell(data.draw(scaled(st.integers(1, units), 18)), proceeds_sol)

    @precondition(lambda self: self.holding.remaining_amount > 0)
    @rule(proceeds_sol=sums_of_sol)
    def sell_all(self, proceeds_sol: Decimal) -> None:
        refused = self.holding
        self.sell(self.holding.remaining_amount, proceeds_sol)
        if self.holding is not refused:
            assert self.holding.remaining_amount == 0
            # Nothing is held, so that all of the profit is realised.
            exact = self.received - self.spent
            assert abs(Fraction(self.holding.realized_profit_sol) - exact) <= self.bound

    @rule(tokens=amounts, proceeds_sol=sums_of_sol)
    def sell_more_than_held(self, tokens: Decimal, proceeds_sol: Decimal) -> None:
        before, figures = self.holding, self.holding._asdict()
        with localcontext(prec=50):
            tokens = before.remaining_amount + tokens
        if tokens >= AMOUNT_LIMIT:
            return
        message = f"tokens: {digits(tokens)} to sell, {digits(before.remaining_amount)} held"
        with pytest.raises(NotEnoughTokens, match=f"^{re.escape(message)}$"):
            sell(before, tokens=tokens, proceeds_sol=proceeds_sol)
        assert before._asdict() == figures

    @rule(price=prices)
    def move_price(self, price: Decimal) -> None:
        worth = value(self.holding, price=price, sol_usd=None)
        exact_value = Fraction(price) * self.held
        exact_profit = self.received + exact_value - self.spent
        assert abs(Fraction(worth.position_value_sol) - exact_value) <= HALF_LAMPORT
        # Realised and unrealised together are what came in and could come in, less what went out.
        assert abs(Fraction(worth.profit_loss_sol) - exact_profit) <= self.bound + HALF_LAMPORT

    @invariant()
    def amounts_are_exact(self) -> None:
        assert Fraction(self.holding.purchase_amount) == self.bought
        assert Fraction(self.holding.remaining_amount) == self.held
        assert Fraction(self.holding.total_invested_sol) == self.spent

    @invariant()
    def every_figure_fits_its_column(self) -> None:
        for name, number in self.holding._asdict().items():
            kind = name.rpartition("_")[2]
            decimals, limit = {
                "sol": (9, SOL_LIMIT),
                "price": (30, PRICE_LIMIT),
                "amount": (18, AMOUNT_LIMIT),
            }[kind]
            assert abs(number) < limit, name
            assert (Fraction(number) * 10**decimals).denominator == 1, name
            assert number >= 0 or name == "realized_profit_sol"


HoldingMachine.TestCase.settings = settings(
    max_examples=120, stateful_step_count=25, deadline=None, database=None
)
test_any_sequence_of_trades_neither_makes_nor_loses_money = HoldingMachine.TestCase


# By hand


OPENED = buy(Holding(), tokens=Decimal(100), spent_sol=Decimal(2))


def test_buy_of_a_new_holding_costs_what_was_spent_for_each_token():
    opened = buy(Holding(), tokens=Decimal(100), spent_sol=Decimal(2))
    assert opened == Holding(
        purchase_price=Decimal("0.02"),
        purchase_amount=Decimal(100),
        remaining_amount=Decimal(100),
        total_invested_sol=Decimal(2),
        realized_profit_sol=Decimal(0),
    )


def test_buy_of_more_averages_the_cost_over_the_tokens_held():
    assert buy(OPENED, tokens=Decimal(300), spent_sol=Decimal(2)) == Holding(
        purchase_price=Decimal("0.01"),
        purchase_amount=Decimal(400),
        remaining_amount=Decimal(400),
        total_invested_sol=Decimal(4),
        realized_profit_sol=Decimal(0),
    )


def test_buy_after_a_sale_averages_over_what_is_left_not_over_what_was_bought():
    left = sell(OPENED, tokens=Decimal(50), proceeds_sol=Decimal("1.5"))
    again = buy(left, tokens=Decimal(50), spent_sol=Decimal(3))
    assert again.purchase_price == Decimal("0.04")  # (0.02 · 50 + 3) / 100
    assert (again.purchase_amount, again.remaining_amount) == (Decimal(150), Decimal(100))
    assert (again.total_invested_sol, again.realized_profit_sol) == (Decimal(5), Decimal("0.5"))


def test_sell_of_a_part_realizes_what_is_left_over_cost():
    assert sell(OPENED, tokens=Decimal(25), proceeds_sol=Decimal("0.8")) == Holding(
        purchase_price=Decimal("0.02"),
        purchase_amount=Decimal(100),
        remaining_amount=Decimal(75),
        total_invested_sol=Decimal(2),
        realized_profit_sol=Decimal("0.3"),
    )


def test_sell_below_cost_realizes_a_loss():
    sold = sell(OPENED, tokens=Decimal(100), proceeds_sol=Decimal("0.5"))
    assert (sold.remaining_amount, sold.realized_profit_sol) == (Decimal(0), Decimal("-1.5"))


def test_sell_for_nothing_loses_the_cost_of_what_was_sold():
    assert sell(OPENED, tokens=Decimal(100), proceeds_sol=Decimal(0)).realized_profit_sol == Decimal(-2)


def test_buy_with_an_endless_cost_rounds_half_to_even_at_the_thirtieth_decimal():
    third = buy(Holding(), tokens=Decimal(3), spent_sol=Decimal(1))
    assert third.purchase_price == Decimal("0.333333333333333333333333333333")
    tie = buy(Holding(), tokens=Decimal("2e20"), spent_sol=Decimal("0.000000003"))
    assert tie.purchase_price == Decimal("1.5e-29")
    tie = buy(tie, tokens=Decimal("8e20") - 1, spent_sol=Decimal("0.000000001"))
    assert tie.purchase_price == Decimal("4e-30")


def test_cost_of_what_is_held_is_right_to_the_lamport_however_much_it_is():
    for tokens in ("8.123e13", "1e20", "999999999999999999999"):
        held = buy(Holding(), tokens=Decimal(tokens), spent_sol=Decimal("1.000000001"))
        sold = sell(held, tokens=Decimal(tokens), proceeds_sol=Decimal("1.000000001"))
        assert sold.realized_profit_sol == 0, tokens


def test_proceeds_are_rounded_to_the_lamport():
    assert proceeds(tokens=Decimal("0.5"), price=Decimal("0.000000003")) == Decimal("0.000000002")
    assert proceeds(tokens=Decimal(3), price=Decimal("0.333333333333333333")) == Decimal(1)


@given(held=amounts, price=prices)
@settings(max_examples=200, deadline=None, database=None)
def test_proceeds_of_all_that_is_held_are_the_value_shown(held: Decimal, price: Decimal):
    shown = value(Holding(remaining_amount=held), price=price, sol_usd=None).position_value_sol
    assert proceeds(tokens=held, price=price) == shown


LESS_THAN = "must be less than 1000000000000000000000, not"
BAD_AMOUNTS: list[tuple[object, str]] = [
    (Decimal(0), "must be more than 0, not 0"),
    (Decimal("-0"), "must be more than 0, not 0"),
    (Decimal(-1), "must be more than 0, not -1"),
    (Decimal("NaN"), "must be a finite number, not NaN"),
    (Decimal("sNaN"), "must be a finite number, not sNaN"),
    (Decimal("Infinity"), "must be a finite number, not Infinity"),
    (Decimal("-Infinity"), "must be a finite number, not -Infinity"),
    (Decimal("1e21"), f"{LESS_THAN} 1000000000000000000000"),
    (Decimal("1e400"), f"{LESS_THAN} 1E+400"),
    (Decimal("1e999999999"), f"{LESS_THAN} 1E+999999999"),
    (Decimal("7" * 400), f"{LESS_THAN} 7.77778E+399"),
    (1.5, "must be a Decimal, not float"),
    (3, "must be a Decimal, not int"),
    ("3", "must be a Decimal, not str"),
    (None, "must be a Decimal, not NoneType"),
]
NOISY_AMOUNTS: list[tuple[object, str]] = [
    (Decimal("1.0000000000000000001"), "must have at most 18 decimals, not 1.0000000000000000001"),
    (Decimal("1e-19"), "must have at most 18 decimals, not 0.0000000000000000001"),
    (Decimal("1e-999999999"), "must have at most 18 decimals, not 1E-999999999"),
]


@pytest.mark.parametrize(("tokens", "reason"), BAD_AMOUNTS + NOISY_AMOUNTS)
def test_buy_of_a_bad_amount_is_refused_naming_the_argument(tokens, reason):
    with pytest.raises(InvalidAmount) as refused:
        buy(OPENED, tokens=tokens, spent_sol=Decimal(1))
    assert (refused.value.message, refused.value.field) == (f"tokens {reason}", "tokens")


@pytest.mark.parametrize(("tokens", "reason"), BAD_AMOUNTS + NOISY_AMOUNTS)
def test_sell_of_a_bad_amount_is_refused_naming_the_argument(tokens, reason):
    with pytest.raises(InvalidAmount) as refused:
        sell(OPENED, tokens=tokens, proceeds_sol=Decimal(1))
    assert (refused.value.message, refused.value.field) == (f"tokens {reason}", "tokens")


@pytest.mark.parametrize(
    ("spent", "reason"),
    [
        (Decimal(0), "must be more than 0, not 0"),
        (Decimal(-1), "must be more than 0, not -1"),
        (Decimal("NaN"), "must be a finite number, not NaN"),
        (Decimal("1e11"), "must be less than 100000000000, not 100000000000"),
        (Decimal("1.0000000001"), "must have at most 9 decimals, not 1.0000000001"),
        (Decimal("1e-10"), "must have at most 9 decimals, not 0.0000000001"),
    ],
)
def test_buy_for_a_bad_sum_is_refused_naming_the_argument(spent, reason):
    with pytest.raises(InvalidAmount) as refused:
        buy(OPENED, tokens=Decimal(1), spent_sol=spent)
    assert (refused.value.message, refused.value.field) == (f"spent_sol {reason}", "spent_sol")


@pytest.mark.parametrize(
    ("proceeds_sol", "reason"),
    [
        (Decimal("-0.000000001"), "must be 0 or more, not -0.000000001"),
        (Decimal("NaN"), "must be a finite number, not NaN"),
        (Decimal("1e11"), "must be less than 100000000000, not 100000000000"),
        (Decimal("0.0000000001"), "must have at most 9 decimals, not 0.0000000001"),
    ],
)
def test_sell_for_a_bad_sum_is_refused_naming_the_argument(proceeds_sol, reason):
    with pytest.raises(InvalidAmount) as refused:
        sell(OPENED, tokens=Decimal(1), proceeds_sol=proceeds_sol)
    assert (refused.value.message, refused.value.field) == (f"proceeds_sol {reason}", "proceeds_sol")


@pytest.mark.parametrize(("tokens", "reason"), BAD_AMOUNTS)
def test_amount_that_a_client_gives_is_refused_naming_it(tokens, reason):
    for read in (tokens_of, partial(tokens_to_sell, held=Decimal(3), bought=Decimal(3), trades=1)):
        with pytest.raises(InvalidAmount) as refused:
            read(tokens, "tokens")
        assert (refused.value.message, refused.value.field) == (f"tokens {reason}", "tokens")


@pytest.mark.parametrize(
    ("given", "decimals", "amount"),
    [
        ("0.30000000000000004", 9, "0.3"),
        ("0.09999999999999998", 9, "0.1"),
        ("1.2e-7", 9, "0.00000012"),
        ("1e-9", 9, "0.000000001"),
        ("6e-10", 9, "0.000000001"),
        ("88e12", 9, "88000000000000"),
        ("999999999999999999999", 9, "999999999999999999999"),
        ("1.2345678", 5, "1.23457"),
        ("7.5", 0, "8"),
        ("1.0000000000000000004", 18, "1"),
    ],
)
def test_amount_that_a_client_gives_is_rounded_to_its_mint_s_decimals(given: str, decimals: int, amount: str):
    assert tokens_of(Decimal(given), "tokens", decimals=decimals) == Decimal(amount)


@pytest.mark.parametrize("given", ["5e-10", "1e-18", "1e-999999999"])
def test_amount_that_rounds_to_0_is_refused(given: str):
    for read in (tokens_of, partial(tokens_to_sell, held=Decimal(3), bought=Decimal(3), trades=1)):
        with pytest.raises(
            InvalidAmount, match=r"^tokens must be at least 0\.000000001, not .*, which rounds to 0$"
        ):
            read(Decimal(given), "tokens")


def test_sum_of_sol_that_a_client_gives_is_rounded_to_the_lamport():
    assert sol_of(Decimal("0.30000000000000004"), "spent_sol", positive=True) == Decimal("0.3")
    assert sol_of(Decimal("4e-10"), "proceeds_sol", positive=False) == 0
    with pytest.raises(
        InvalidAmount, match=r"^spent_sol must be at least 0\.000000001, not 0\.0000000004, which"
    ):
        sol_of(Decimal("4e-10"), "spent_sol", positive=True)


def test_price_that_a_client_gives_is_rounded_to_its_column():
    assert price_of(Decimal("1.23456789e-25"), "peak_price") == Decimal("1.23457e-25")
    with pytest.raises(
        InvalidAmount, match=r"^peak_price must be less than 1000000000000, not 1000000000000$"
    ):
        price_of(Decimal("1e12"), "peak_price")


@pytest.mark.parametrize(
    ("held", "given", "sold"),
    [
        ("0.3", "0.3", "0.3"),
        ("0.3", "0.299999999", "0.299999999"),  # a unit is left
        ("0.3", "0.2999999991", "0.3"),
        ("0.3", "0.3000000009", "0.3"),
        ("0.3", "0.300000001", "0.300000001"),  # a unit more than there is
        (
            "0.000000000000000027",
            "0.000000000000000027",
            "0.000000000000000027",
        ),  # from before there were units
        ("0.000000000000000027", "1e-10", "0.000000000000000027"),
        ("0.1234567894999", "0.1234567894999", "0.1234567894999"),
        (
            "88000000000000.123456789",
            "88000000000000.12",
            "88000000000000.123456789",
        ),  # the double next to it
        ("88000000000000.123456789", "88000000000000.1", "88000000000000.123456789"),  # near, by 15 digits
        ("88000000000000.223456789", "88000000000000", "88000000000000"),  # too far from it
        ("1000000000.000000001", "1000000000", "1000000000.000000001"),  # all, read as a double
        ("1000000", "999999.999999", "999999.999999"),
        ("1000000", "999999.999999999", "999999.999999999"),  # different doubles
        ("35123456.789012", "35123456.78901199", "35123456.789012"),
        ("1000000.000000001", "1000000", "1000000"),  # different doubles
    ],
)
def test_sale_of_all_but_dust_or_of_dust_more_is_of_all(held: str, given: str, sold: str):
    sells = tokens_to_sell(Decimal(given), "tokens", held=Decimal(held), bought=Decimal(held), trades=1)
    assert sells == Decimal(sold)


def test_dust_is_less_than_a_unit_of_the_mint():
    assert (
        tokens_to_sell(Decimal("2.99"), "tokens", held=Decimal(3), bought=Decimal(3), trades=1, decimals=1)
        == 3
    )
    assert tokens_to_sell(
        Decimal("2.9"), "tokens", held=Decimal(3), bought=Decimal(3), trades=1, decimals=1
    ) == Decimal("2.9")


@given(held=any_size(29, 9), shares=st.lists(st.floats(0.01, 0.99), max_size=8))
@settings(max_examples=300, deadline=None, database=None)
def test_holding_sold_in_parts_that_a_bot_computes_with_doubles_is_sold(held: Decimal, shares: list[float]):
    """As bots do it: they read what is left as a double, and sell a share of it, in the end all."""
    holding = buy(Holding(), tokens=held, spent_sol=Decimal(1))
    for share in [*shares, 1.0]:
        part = Decimal(repr(float(holding.remaining_amount) * share))
        try:
            part = tokens_to_sell(part, "tokens", held=holding.remaining_amount, bought=held, trades=1)
        except InvalidAmount:
            assert round(part, 9) == 0
            continue
        holding = sell(holding, tokens=part, proceeds_sol=Decimal("0.1"))
        assert holding.remaining_amount == 0 or holding.remaining_amount >= Decimal("1e-9")
        if not holding.remaining_amount:
            break
    assert holding.remaining_amount == 0


@given(bought=st.floats(1, 1e15), shares=st.lists(st.floats(0.01, 0.9), max_size=20))
@settings(max_examples=300, deadline=None, database=None)
def test_holding_counted_down_with_doubles_is_sold(bought: float, shares: list[float]):
    """As other bots do it: they read once what they hold, and keep count themselves."""
    left, holding = bought, Holding()
    holding = buy(holding, tokens=tokens_of(Decimal(repr(bought)), "tokens"), spent_sol=Decimal(1))
    for trades, share in enumerate([*shares, 1.0], start=1):
        part = left * share
        left -= part
        number = Decimal(repr(part))
        if round(number, 9) == 0 or (share == 1.0 and number == round(number, 9) and bought < 2e7):
            return  # nothing more to sell, or a number that may be meant as it is
        sold = tokens_to_sell(
            number,
            "tokens",
            held=holding.remaining_amount,
            bought=holding.purchase_amount,
            trades=trades,
        )
        holding = sell(holding, tokens=sold, proceeds_sol=Decimal("0.1"))
        if not holding.remaining_amount:  # what was left was next to nothing: sold with this part, and closed
            return
    assert holding.remaining_amount == 0


def test_largest_amount_is_held_to_its_last_digit():
    with localcontext(EVERY_DIGIT):
        most = AMOUNT_LIMIT - Decimal("1e-9")
    assert buy(Holding(), tokens=most, spent_sol=Decimal(1)).remaining_amount == most


def test_sell_of_more_than_held_is_refused_and_says_what_is_held():
    with pytest.raises(NotEnoughTokens) as refused:
        sell(OPENED, tokens=Decimal("100.5"), proceeds_sol=Decimal(1))
    assert (refused.value.message, refused.value.field) == ("tokens: 100.5 to sell, 100 held", "tokens")


@pytest.mark.parametrize(
    ("holding", "tokens", "spent", "message"),
    [
        (
            Holding(purchase_amount=Decimal("999999999999999999999")),
            "1",
            "1",
            f"tokens: {10**21} bought in all is too much: it must be less than {10**21}",
        ),
        (
            Holding(total_invested_sol=Decimal("99999999999")),
            "1",
            "1",
            "spent_sol: 100000000000 SOL in all is too much: it must be less than 100000000000",
        ),
        (
            Holding(),
            "0.000000001",
            "1000",
            "spent_sol: 1000000000000 SOL for one token is too much: it must be less than 1000000000000",
        ),
    ],
)
def test_buy_past_what_a_position_can_hold_is_refused(holding, tokens, spent, message):
    with pytest.raises(InvalidAmount) as refused:
        buy(holding, tokens=Decimal(tokens), spent_sol=Decimal(spent))
    assert refused.value.message == message


def test_sell_past_what_a_position_can_realize_is_refused():
    rich = Holding(remaining_amount=Decimal(2), realized_profit_sol=Decimal("99999999999"))
    with pytest.raises(InvalidAmount) as refused:
        sell(rich, tokens=Decimal(1), proceeds_sol=Decimal(1))
    message = "proceeds_sol: 100000000000 SOL realised in all is too much: it must be less than 100000000000"
    assert (refused.value.message, refused.value.field) == (message, "proceeds_sol")


# The vectors that the browser's suite reads, too

INPUTS = (
    "purchasePrice",
    "remainingAmount",
    "totalInvestedSol",
    "realizedProfitSol",
    "price",
    "priceUsd",
)
CASES: dict[str, tuple[str, str, str, str, str, str | None]] = {
    "unchanged price": ("0.02", "100", "2", "0", "0.02", "3"),
    "profit": ("0.02", "100", "2", "0", "0.03", "4.5"),
    "loss": ("0.02", "100", "2", "0", "0.005", "0.75"),
    "total loss but one atom": ("0.02", "100", "2", "0", "0.000000000000000001", "0.00000000000000015"),
    "hundredfold": ("0.0001", "1000000", "100", "0", "0.01", "1.87"),
    "profit, half of it sold at a profit": ("0.02", "50", "2", "0.75", "0.025", "3.625"),
    "profit today, more lost before": ("0.02", "50", "2", "-0.8", "0.025", "3.625"),
    "loss today, more earned before": ("0.02", "50", "2", "1.2", "0.015", "2.175"),
    "averaged down, endless cost": ("0.013333333333333333", "300", "4", "0", "0.0141", "2.2701"),
    "BONK": ("0.000000124113", "16113700.12345", "2", "0", "0.0000001309", "0.00001947792"),
    "BONK, USD unknown": ("0.000000124113", "16113700.12345", "2", "0", "0.0000001309", None),
    "1 SOL for 81 trillion": (
        "0.000000000000012310722639418934",
        "81230000000000",
        "1",
        "0",
        "0.0000000000000123456",
        "0.0000000000018518",
    ),
    "price of 1e-30": (
        "0.000000000000000000000000000004",
        "1" + "0" * 20,
        "0.000000001",
        "0",
        "0." + "0" * 29 + "1",
        None,
    ),
    "price of 1e-12": ("0.0000000000012", "750000000000", "0.9", "0", "0.000000000001", "0.000000000153"),
    "price of one atom": (
        "0.000000000000000003",
        "999999999999.5",
        "0.000003",
        "0",
        "0.000000000000000001",
        None,
    ),
    "dust": ("12.5", "0.000000000000000001", "25", "3.125", "13.75", "2062.5"),
    "dust worth less than a lamport": ("0.02", "0.000000049", "0.000000001", "0", "0.02", "3.1"),
    "all digits": (
        "123456.789012345678901234",
        "987654.321098765432109876",
        "99999999999.999999999",
        "-12345678.123456789",
        "123457.890123456789012345",
        "18518683.5185185183518517",
    ),
    "largest amount, most decimals": (
        "0.123456789012345678901234567891",
        "999999999999999999999.999999999999999999",
        "99999999999.999999999",
        "-99999999999.999999999",
        "0.123456789012345678901234567892",
        "18.518518351851851851",
    ),
    "huge amount": ("0.1", "999999999999.999999999999999999", "99999999999.999999999", "0", "0.2", "30.5"),
    "huge price": ("1", "1.5", "1.5", "0", "999999999999.999999999999999999", "151000000000000"),
    "nothing invested (airdrop)": ("0", "5000", "0", "0", "0.0004", "0.0604"),
    "zero cost, something invested": ("0", "5000", "0.000000001", "0", "0.0004", "0.0604"),
    "nothing held, loss realised": ("0.02", "0", "2", "-1.5", "0.03", "4.53"),
    "SOL worth 1 USD": ("0.3", "7", "2.1", "0", "0.7", "0.7"),
    "SOL worth a third of a USD": ("0.3", "7.7", "2.31", "0.1", "0.9", "0.3"),
    "value between two lamports, to the even one below": (
        "0.5",
        "0.000000001",
        "1",
        "0",
        "0.5",
        None,
    ),
    "value between two lamports, to the even one above": (
        "0.5",
        "0.000000003",
        "1",
        "0",
        "0.5",
        None,
    ),
    "loss between two lamports": ("1", "0.000000003", "1", "0", "0.5", None),
    "percents with an endless fraction": ("0.07", "13", "0.91", "0.013", "0.0701", "10.76035"),
}


def rounded(exact: Fraction, decimals: int) -> str:
    """Return the fraction with at most so many decimals, half to even, written without an exponent."""
    units = round(exact * 10**decimals)  # Fraction rounds half to even
    sign = "-" if units < 0 else ""
    whole, rest = divmod(abs(units), 10**decimals)
    return (f"{sign}{whole}.{rest:0{decimals}d}").rstrip("0").rstrip(".")


def expected(inputs: dict[str, str | None]) -> dict[str, str | None]:
    """Work out PROTOCOL's rules in fractions, independently of positions.books.accounting."""
    exact = {name: Fraction(number) for name, number in inputs.items() if number is not None}
    price, cost, held = exact["price"], exact["purchasePrice"], exact["remainingAmount"]
    profit = exact["realizedProfitSol"] + (price - cost) * held
    invested = exact["totalInvestedSol"]

    def usd(sol: Fraction, decimals: int) -> str | None:
        if "priceUsd" not in exact:
            return None
        in_usd = sol * exact["priceUsd"] / price
        # The price of SOL is a quotient, which is never exact: a tie would test its last digit.
        assert (in_usd * 10**decimals * 2) % 2 != 1, "choose another case"
        return rounded(in_usd, decimals)

    return {
        "positionValueSol": rounded(price * held, 9),
        "positionValueUsd": usd(price * held, 6),
        "profitLossSol": rounded(profit, 9),
        "profitLossUsd": usd(profit, 6),
        "profitLossPercent": rounded(profit / invested * 100, 6) if invested else "0",
        "priceChangePercent": rounded((price - cost) / cost * 100, 6) if cost else "0",
        "purchasePriceUsd": usd(cost, 30),
    }


EXIT_INPUTS = ("remainingAmount", "priceStatus", "poolTokens", "poolSol")
EXIT_CASES: dict[str, tuple[str, str, str | None, str | None]] = {
    "sale into a deep pool": ("100", "live", "16666", "166"),
    "sale of as much as the pool has": ("100", "live", "100", "2"),
    "sale into a drained pool": ("100", "thin", "38326", "0.00002161"),
    "sale at a price that nobody confirms": ("100", "stale", "16666", "166"),
    "sale without a market": ("100", "gone", "16666", "166"),
    "sale without a market, reserves unknown": ("100", "gone", None, None),
    "sale where no price was ever known": ("100", "none", None, None),
    "sale into a curve that names no reserves": ("100", "live", None, None),
    "sale of nothing into nothing": ("0", "thin", "0", "0"),
    "sale of an endless fraction": ("1", "live", "2", "10"),
    "sale worth less than a lamport": ("0.000000001", "live", "16666", "0.01"),
    "sale between two lamports, to the even one below": ("1", "live", "1", "0.000000001"),
    "sale between two lamports, to the even one above": ("1", "live", "1", "0.000000003"),
    "sale of the largest amount": (
        "999999999999999999999.999999999999999999",
        "live",
        "1000000000000000000000000000000",
        "123456789012.123456789",
    ),
}


def expected_exit(inputs: dict[str, str | None]) -> dict[str, str | None]:
    """Work out what a sale brings in fractions, independently of positions.books.accounting."""
    if inputs["priceStatus"] == "gone":
        return {"exitValueSol": "0"}
    tokens, pool_tokens, pool_sol = (
        inputs["remainingAmount"],
        inputs["poolTokens"],
        inputs["poolSol"],
    )
    if tokens is None or pool_tokens is None or pool_sol is None:
        return {"exitValueSol": None}
    whole = Fraction(pool_tokens) + Fraction(tokens)
    return {"exitValueSol": rounded(Fraction(pool_sol) * Fraction(tokens) / whole, 9) if whole else "0"}


AT_COST_INPUTS = ("remainingAmount", "price", "priceUsd", "costUsd", "realizedProfitUsd")
AT_COST_CASES: dict[str, tuple[str, str, str | None, str | None, str | None]] = {
    "held since SOL was cheaper": ("100", "0.02", "4", "200", "0"),
    "held since SOL was dearer": ("100", "0.02", "2", "600", "0"),
    "half of it sold at a profit": ("50", "0.025", "3.625", "150", "75.5"),
    "all sold: no price matters": ("0", "0.025", "3.625", "0", "-12.345678"),
    "all sold, SOL in USD unknown": ("0", "0.025", None, "0", "-12.345678"),
    "held, SOL in USD unknown": ("100", "0.02", None, "200", "0"),
    "cost in USD unknown": ("100", "0.02", "4", None, "0"),
    "proceeds in USD unknown": ("100", "0.02", "4", "200", None),
    "given for nothing": ("100", "0.02", "4", "0", "0"),
    "rounded once": ("3", "0.000000001", "0.0000001501", "0.000000001", "0.000000001"),
    "the largest": ("999999999999999999999.999999999999999999", "0.07", "13", "99999999999999999999.5", "-1"),
}


def expected_at_cost(inputs: dict[str, str | None]) -> dict[str, str | None]:
    """Work out the profit at cost in fractions, independently of positions.books.accounting."""
    exact = {name: Fraction(number) for name, number in inputs.items() if number is not None}
    tokens = exact["remainingAmount"]
    if "costUsd" not in exact or "realizedProfitUsd" not in exact or ("priceUsd" not in exact and tokens):
        return {"profitLossUsdAtCost": None}
    worth = tokens * exact.get("priceUsd", Fraction(0))
    return {"profitLossUsdAtCost": rounded(worth - exact["costUsd"] + exact["realizedProfitUsd"], 6)}


def vectors() -> list[dict[str, object]]:
    named = {name: dict(zip(INPUTS, numbers, strict=True)) for name, numbers in CASES.items()}
    exits = {name: dict(zip(EXIT_INPUTS, inputs, strict=True)) for name, inputs in EXIT_CASES.items()}
    made: list[dict[str, object]] = []
    for name, inputs in named.items():
        made.append({"name": name, "inputs": inputs, "expected": expected(inputs)})
    for name, inputs in exits.items():
        made.append({"name": name, "inputs": inputs, "expected": expected_exit(inputs)})
    for name, at_cost in AT_COST_CASES.items():
        given = dict(zip(AT_COST_INPUTS, at_cost, strict=True))
        made.append({"name": name, "inputs": given, "expected": expected_at_cost(given)})
    return made


STORED_VECTORS = json.loads(VECTORS.read_text())
OF_VALUES = [vector for vector in STORED_VECTORS if "positionValueSol" in vector["expected"]]
OF_COST = [vector for vector in STORED_VECTORS if "profitLossUsdAtCost" in vector["expected"]]
OF_EXITS = [vector for vector in STORED_VECTORS if "exitValueSol" in vector["expected"]]


def test_vectors_file_is_what_the_rules_give():
    assert json.loads(VECTORS.read_text()) == vectors()


@pytest.mark.parametrize("vector", OF_EXITS, ids=lambda vector: vector["name"])
def test_exit_value_of_a_vector_is_what_the_file_says(vector):
    tokens, status, pool_tokens, pool_sol = (vector["inputs"][name] for name in EXIT_INPUTS)
    sold = exit_value(
        Decimal(tokens),
        status=status,
        pool_tokens=pool_tokens and Decimal(pool_tokens),
        pool_sol=pool_sol and Decimal(pool_sol),
    )
    expected_sol = vector["expected"]["exitValueSol"]
    assert sold == (expected_sol and Decimal(expected_sol))


@pytest.mark.parametrize("vector", OF_COST, ids=lambda vector: vector["name"])
def test_profit_at_cost_of_a_vector_is_what_the_file_says(vector):
    number = {name: digits and Decimal(digits) for name, digits in vector["inputs"].items()}
    sol_usd = Quote("any", number["price"], number["priceUsd"], as_of=None).sol_usd  # type: ignore[arg-type]
    profit = profit_usd_at_cost(
        remaining_amount=number["remainingAmount"],
        price=number["price"],
        sol_usd=sol_usd,
        cost_usd=number["costUsd"],
        realized_profit_usd=number["realizedProfitUsd"],
    )
    expected_usd = vector["expected"]["profitLossUsdAtCost"]
    assert profit == (expected_usd and Decimal(expected_usd))


@pytest.mark.parametrize("vector", OF_VALUES, ids=lambda vector: vector["name"])
def test_value_of_a_vector_is_what_the_file_says(vector):
    number = {name: digits and Decimal(digits) for name, digits in vector["inputs"].items()}
    holding = Holding(
        purchase_price=number["purchasePrice"],
        remaining_amount=number["remainingAmount"],
        total_invested_sol=number["totalInvestedSol"],
        realized_profit_sol=number["realizedProfitSol"],
    )
    sol_usd = Quote("any", number["price"], number["priceUsd"], as_of=None).sol_usd  # type: ignore[arg-type]
    worth = value(holding, price=number["price"], sol_usd=sol_usd)
    camel = {
        re.sub("_(.)", lambda part: part[1].upper(), name): number for name, number in worth._asdict().items()
    }
    assert camel == {name: digits and Decimal(digits) for name, digits in vector["expected"].items()}


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")
