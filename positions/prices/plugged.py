"""Price sources of other apps: named in settings, checked here, and isolated from the feed.

Such a class has one method, `async fetch(tokens) -> Prices`, and is made without arguments. It may have `simulated` and
`async aclose()`, as `PriceSource` says.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection
from typing import Any

from django.utils.module_loading import import_string

from positions.conf import conf
from positions.prices.mint_decimals import usable_decimals
from positions.prices.quotes import Prices, Quote, SourceError, Token, usable

logger = logging.getLogger(__name__)


class PluggedSource:
    """Makes a PriceSource of such a class: its exceptions become SourceErrors, invalid prices are dropped."""

    def __init__(self, name: str, source: Any) -> None:
        self.name = name
        self.simulated = bool(getattr(source, "simulated", False))
        self._source = source
        self._failing = False

    async def fetch(self, tokens: Collection[Token]) -> Prices:
        try:
            prices = _checked(await self._source.fetch(tokens))
        except SourceError:
            raise
        except Exception as error:
            if not self._failing:  # one traceback, for its author
                logger.exception("price source %s failed", self.name)
            self._failing = True
            raise SourceError(f"{self.name} failed: {type(error).__name__}: {error}") from error
        self._failing = False
        return prices

    async def aclose(self) -> None:
        if hasattr(self._source, "aclose"):
            await self._source.aclose()


def names() -> tuple[str, ...]:
    """Return the names that settings give to such classes."""
    return tuple(conf.PRICE_SOURCES)


def plugged_source(name: str) -> PluggedSource:
    """Return the source that settings give this name. Raises SourceError, which says what is wrong with it."""
    problem, source_class = find(conf.PRICE_SOURCES[name])
    if source_class is None:
        raise SourceError(f"The price source {name!r} cannot be loaded: {problem}.")
    try:
        return PluggedSource(name, source_class())
    except Exception as error:
        raise SourceError(
            f"The price source {name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def find(path: str) -> tuple[str, Any]:
    """Return the class at a dotted path; where it cannot be a source, a sentence and None."""
    try:
        found = import_string(path)
    except Exception as error:  # noqa: BLE001  importing its module may raise anything
        return str(error) or type(error).__name__, None
    if not inspect.isclass(found):
        return f"{path} is not a class", None
    if not inspect.iscoroutinefunction(getattr(found, "fetch", None)):
        return f"{path} has no method `async def fetch(self, tokens)`", None
    return "", found


def _checked(prices: Any) -> Prices:
    if not isinstance(prices, Prices):
        raise TypeError(f"fetch must return Prices, not {type(prices).__name__}")
    quotes, bad = {}, []
    for address, quote in prices.quotes.items():
        if isinstance(quote, Quote) and _is_sound(address, quote):
            quotes[address] = quote
        else:
            bad.append(f"Invalid price of {address}: {quote!r:.200}.")
    decimals = {
        address: number
        for address, reported in prices.decimals.items()
        if (number := usable_decimals(reported)) is not None
    }
    return Prices(quotes, usable(prices.sol_usd), [*prices.errors, *bad], prices.notes, prices.gone, decimals)


def _is_sound(address: str, quote: Quote) -> bool:
    return (
        quote.token_address == address
        and usable(quote.price) == quote.price
        and (quote.price_usd is None or usable(quote.price_usd) == quote.price_usd)
        and quote.as_of.tzinfo is not None
    )
