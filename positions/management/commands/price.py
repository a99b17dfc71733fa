"""`manage.py price`: what a source answers for a token, every pool of it, which was chosen, and why."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from django.core.management.base import CommandError, CommandParser

from positions.books.accounting import digits
from positions.books.quotes import WRAPPED_SOL
from positions.books.symbols import harmless
from positions.management import output
from positions.prices.asked import get_asked
from positions.prices.dexscreener import DexScreenerSource
from positions.prices.http import mints
from positions.prices.markets import DOLLARS, Choice, Pool
from positions.prices.quotes import SourceError, Token
from positions.prices.sources import make_source, names
from positions.valkey import Unavailable


class Command(output.Command):
    help = "Show what a price source answers for tokens: every pool, which one sets the price, and why."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tokens", nargs="+", metavar="TOKEN", help="the address of a token's mint")
        # Replay and simulated have no market to show.
        choices = [name for name in names() if name not in {"replay", "simulated"}]
        parser.add_argument("--source", choices=choices, default="dexscreener", help="dexscreener by default")

    def handle(self, **options: Any) -> None:
        tokens: list[str] = options["tokens"]
        for address in tokens:
            if address != WRAPPED_SOL and address not in mints([Token(address)]):
                raise CommandError(
                    f"{address!r} is not the address of a mint: 32 to 44 characters of base58."
                )
        try:
            found = asyncio.run(self._show(options["source"], tokens))
        except SourceError as error:
            raise CommandError(str(error)) from error
        self._show_turns(tokens)
        if not found:
            raise CommandError("No price was found.")

    async def _show(self, name: str, tokens: list[str]) -> bool:
        """Write the answers; return whether any token has a price."""
        async with aclosing(make_source(name)) as source:
            if not isinstance(source, DexScreenerSource):
                prices = await source.fetch([Token(address) for address in tokens])
                for address in tokens:
                    quote = prices.quotes.get(address)
                    answer = f"{digits(quote.price)} SOL, {quote.status}" if quote else "no price"
                    self.stdout.write(f"{address}: {answer}")
                return bool(prices.quotes)
            found = False
            for address in tokens:
                choice, pools, sol_usd = await source.explain(address)
                found = found or choice.best is not None or (address == WRAPPED_SOL and sol_usd is not None)
                self._show_pools(address, choice, pools)
            if sol_usd is not None:
                self.stdout.write(f"1 SOL = {digits(sol_usd)} USD")
            return found

    def _show_turns(self, tokens: list[str]) -> None:
        """Write how often the feed asks for the tokens, where it has a source with a limit and has said so."""
        try:
            asked = get_asked()
        except Unavailable:
            return
        for address in tokens:
            if asked and address in asked.waits:
                wait = f"{asked.waits[address]:.0f} s"
                self.stdout.write(f"{address}: asked for every {wait}, since answers lack it")
            elif asked and asked.asks.get(address):
                wait = f"{asked.seconds / asked.asks[address]:.1f} s"
                self.stdout.write(f"{address}: asked for every {wait}")

    def _show_pools(self, address: str, choice: Choice, pools: list[Pool]) -> None:
        if choice.best is None:
            self.stdout.write(f"{address}: no price, {_counted(pools)}")
        else:
            status = "thin: below the floor" if choice.is_thin else "live"
            self.stdout.write(f"{address}: {digits(choice.best.price)} SOL, {status}, {_counted(pools)}")
        rows = [("", "pool", "exchange", "against", "price", "liquidity USD", "traded USD/day", "")]
        for pool in sorted(pools, key=lambda each: (each.liquidity_usd or 0, each.traded_usd), reverse=True):
            is_best = choice.best is not None and choice.best.pool is pool
            other = pool.quote if pool.base == address else pool.base
            rows.append(
                (
                    "→" if is_best else "",
                    pool.address,
                    pool.exchange,
                    "SOL" if other == WRAPPED_SOL else "USD coin" if other in DOLLARS else other,
                    f"{pool.price:f}" if pool.base == address else f"1/{pool.price:f}",
                    "curve" if pool.liquidity_usd is None else f"{pool.liquidity_usd:,.0f}",
                    f"{pool.traded_usd:,.0f}",
                    choice.reasons.get(pool.address, ""),
                )
            )
        shown = [[harmless(cell) for cell in row] for row in rows]  # the source may name anything
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        for row in shown:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write(f"  {line.rstrip()}")


def _counted(pools: list[Pool]) -> str:
    return "1 pool" if len(pools) == 1 else f"{len(pools)} pools"
