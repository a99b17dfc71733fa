"""Price sources of other apps: faults in one are reported and do no harm."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from nexgent.environment import Environment
from positions.conf import PositionsSettings
from positions.prices.plugged import PluggedSource
from positions.prices.quotes import Prices, Quote, SourceError, Token, quotes_in_sol
from positions.prices.sources import make_source, names
from tests.conftest import BONK, WIF

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GOOD = Quote(BONK, Decimal("0.5"), Decimal(100), NOW)


class Fixed:
    async def fetch(self, tokens: Any) -> Prices:
        prices = {token.address: Decimal("0.5") for token in tokens}
        return Prices(quotes_in_sol(prices, sol_usd=Decimal(200), as_of=NOW), sol_usd=Decimal(200))


class MadeUp(Fixed):
    simulated = True
    closed = False

    async def aclose(self) -> None:
        self.closed = True


class NeedsMore(Fixed):
    def __init__(self, key: str) -> None:
        self.key = key


class NotAsynchronous:
    def fetch(self, tokens: Any) -> Prices:
        return Prices({})


NOTHING = None


@pytest.fixture
def plug(settings) -> Callable[..., None]:
    def put(**sources: str) -> None:
        settings.NEXGENT = {**settings.NEXGENT, "PRICE_SOURCES": sources}

    return put


def here(name: str) -> str:
    return f"{__name__}.{name}"


async def fetch(answer: Any) -> Prices:
    """Return what the feed gets of a source that answers so, or raises it."""

    class Answers:
        async def fetch(self, tokens: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    return await PluggedSource("desk", Answers()).fetch([Token(BONK)])


async def test_source_of_a_setting_is_one_as_any_other(plug):
    plug(desk=here("Fixed"))
    assert names() == ("dexscreener", "jupiter", "replay", "simulated", "desk")
    source = make_source("desk")
    assert (source.name, source.simulated) == ("desk", False)
    assert (await source.fetch([Token(BONK)])).quotes == {BONK: GOOD}
    await source.aclose()


async def test_source_may_say_that_it_is_simulated_and_is_closed(plug):
    plug(desk=here("MadeUp"))
    source = make_source("desk")
    assert isinstance(source, PluggedSource)
    assert source.simulated
    await source.aclose()
    assert source._source.closed


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nowhere.prices.Source", "No module named 'nowhere'"),
        (here("Missing"), f'Module "{__name__}" does not define a "Missing" attribute/class'),
        ("desk", "desk doesn't look like a module path"),
        (here("NOTHING"), f"{here('NOTHING')} is not a class"),
        (
            here("NotAsynchronous"),
            f"{here('NotAsynchronous')} has no method `async def fetch(self, tokens)`",
        ),
    ],
)
def test_entry_that_is_no_source_is_refused_by_name(plug, path: str, problem: str):
    plug(desk=path)
    sentence = f"The price source 'desk' cannot be loaded: {problem}."
    with pytest.raises(SourceError) as refusal:
        make_source("desk")
    assert str(refusal.value) == sentence
    with pytest.raises(SystemCheckError) as failed:
        call_command("check")
    assert f"(positions.E001) {sentence}" in str(failed.value)


def test_source_that_cannot_be_made_is_refused_by_name(plug):
    plug(desk=here("NeedsMore"))
    with pytest.raises(SourceError, match=r"^The price source 'desk' cannot be loaded: TypeError: .*'key'"):
        make_source("desk")


@pytest.mark.parametrize("name", ["auto", "simulated"])
def test_entry_with_the_name_of_another_source_is_refused(plug, name: str):
    plug(**{name: here("Fixed")})
    with pytest.raises(
        SystemCheckError, match=rf"\(positions\.E002\) The price source '{name}' has the name of a built-in"
    ):
        call_command("check")


async def test_source_that_raises_is_a_source_error_with_one_traceback(caplog):
    class Faulty:
        async def fetch(self, tokens: Any) -> Prices:
            raise KeyError("price")

    source = PluggedSource("desk", Faulty())
    for _ in range(3):
        with pytest.raises(SourceError, match=r"^desk failed: KeyError: 'price'$"):
            await source.fetch([])
    assert [record.getMessage() for record in caplog.records] == ["price source desk failed"]


async def test_source_error_of_a_source_stays_as_it_is():
    with pytest.raises(SourceError, match=r"^closed on Sundays$"):
        await fetch(SourceError("closed on Sundays"))


async def test_answer_that_is_no_prices_is_a_source_error():
    with pytest.raises(SourceError, match=r"^desk failed: TypeError: fetch must return Prices, not dict$"):
        await fetch({BONK: Decimal(1)})


@pytest.mark.parametrize(
    "bad",
    [
        Quote(WIF, Decimal("NaN"), None, NOW),
        Quote(WIF, Decimal(0), None, NOW),
        Quote(WIF, Decimal(-1), None, NOW),
        Quote(WIF, Decimal("1e-31"), None, NOW),
        Quote(WIF, Decimal(1), Decimal("Infinity"), NOW),
        Quote(WIF, Decimal(1), None, datetime(2026, 1, 31)),  # noqa: DTZ001
        Quote(BONK, Decimal(1), None, NOW),  # under another's address
        "1.5",
    ],
)
async def test_price_that_is_none_is_left_out_alone(bad: Any):
    prices = await fetch(Prices({BONK: GOOD, WIF: bad}, Decimal("NaN")))
    assert (prices.quotes, prices.sol_usd) == ({BONK: GOOD}, None)
    (error,) = prices.errors
    assert error.startswith(f"Invalid price of {WIF}: ")


async def test_decimals_that_are_none_are_left_out_alone():
    reported: Any = {BONK: 5, WIF: 5.0, "other": 19}
    assert (await fetch(Prices({BONK: GOOD}, decimals=reported))).decimals == {BONK: 5}


# NEXGENT_PRICE_SOURCES


def test_setting_names_sources():
    env = Environment({"NEXGENT_PRICE_SOURCES": "desk=desk.prices.DeskPrices, other-1 = a.B,"})
    sources = {"desk": "desk.prices.DeskPrices", "other-1": "a.B"}
    assert env.given(PositionsSettings) == {"PRICE_SOURCES": sources}
    env.check()


@pytest.mark.parametrize("value", ["desk", "desk=", "=a.B", "Desk=a.B", "de sk=a.B", "a=b.C,a=b.D"])
def test_setting_that_is_invalid_is_named(value: str):
    env = Environment({"NEXGENT_PRICE_SOURCES": value})
    env.given(PositionsSettings)
    with pytest.raises(
        ImproperlyConfigured, match=r"^NEXGENT_PRICE_SOURCES must be name=package\.module\.Class"
    ):
        env.check()
