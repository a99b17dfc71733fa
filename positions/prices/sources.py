"""The price sources by name, and the choice between them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from positions.prices import plugged
from positions.prices.dexscreener import DexScreenerSource
from positions.prices.jupiter import JupiterSource
from positions.prices.quotes import WRAPPED_SOL, PriceSource, SourceError, Token
from positions.prices.replay import ReplaySource
from positions.prices.simulated import SimulatedSource

AUTO = "auto"
NAMES = ("dexscreener", "jupiter", "replay", "simulated")
"""The built-in ones; settings may name more."""


def names() -> tuple[str, ...]:
    """Return what `--source` may name, except `auto`."""
    return (*NAMES, *plugged.names())


def make_source(
    name: str, *, replay: Path | None = None, speed: int = 1, loop: bool = False, seed: int | None = None
) -> PriceSource:
    """Return the source of this name; `replay`, `speed` and `loop` are for replay, `seed` for simulated.

    Raises SourceError where it cannot be loaded: no API key, an unreadable file, a faulty class, an unknown name.
    """
    match name:
        case "dexscreener":
            return DexScreenerSource()
        case "jupiter":
            return JupiterSource()
        case "replay":
            if replay is None:
                raise SourceError("replay needs a file.")
            return ReplaySource(replay, speed=speed, loop=loop)
        case "simulated":
            return SimulatedSource(seed=seed)
    if name in plugged.names():
        return plugged.plugged_source(name)
    raise SourceError(f"There is no price source {name!r}; there are {', '.join(names())}.")


async def resolve_auto(deadline_seconds: float = 3.0) -> tuple[str, str]:
    """Return the name of the source to take, and why, as a sentence: DexScreener where it answers in time.

    Decided once, at the start: a change from simulated to real prices would look like a market move.
    """
    source = DexScreenerSource()
    started = time.monotonic()
    try:
        async with asyncio.timeout(deadline_seconds):
            prices = await source.fetch([Token(WRAPPED_SOL, "SOL")])
        if prices.sol_usd is None:
            raise SourceError("DexScreener has no price of SOL.")
    except TimeoutError:
        return "simulated", f"DexScreener did not answer within {deadline_seconds:g} s."
    except SourceError as error:
        return "simulated", str(error)
    finally:
        await source.aclose()
    return "dexscreener", f"DexScreener answered within {time.monotonic() - started:.1f} s."
