from __future__ import annotations

import pytest

from positions.prices.quotes import SourceError
from positions.prices.sources import NAMES, make_source, resolve_auto
from tests.positions.prices.price_api import Answer, dexscreener


async def test_make_source_makes_every_one_by_its_name(api, tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("time,token,price\n2018-01-10T04:55:00Z,ADA,1\n")
    for name in NAMES:
        source = make_source(name, replay=path if name == "replay" else None)
        assert source.name == name
        assert source.simulated == (name == "simulated")
        await source.aclose()


def test_make_source_unknown_name_is_refused():
    with pytest.raises(
        SourceError,
        match=r"^There is no price source 'x'; there are dexscreener, jupiter, replay, simulated\.$",
    ):
        make_source("x")


def test_make_source_replay_without_file_is_refused():
    with pytest.raises(SourceError, match=r"^replay needs a file\.$"):
        make_source("replay")


async def test_auto_dexscreener_answering_is_taken(api):
    api.respond = dexscreener()
    name, why = await resolve_auto()
    assert name == "dexscreener"
    assert why.startswith("DexScreener answered within ")


async def test_auto_dexscreener_refusing_gives_simulated_prices(api):
    api.respond = lambda _: Answer(b"<html>", status=403)
    assert await resolve_auto() == ("simulated", "DexScreener answered 403: access was denied.")


async def test_auto_dexscreener_without_prices_gives_simulated_ones(api):
    api.respond = lambda _: Answer([])
    assert await resolve_auto() == ("simulated", "DexScreener has no price of SOL.")


async def test_auto_dexscreener_hanging_gives_simulated_prices(api):
    api.respond = lambda _: Answer(hang=True)
    assert await resolve_auto(0.2) == ("simulated", "DexScreener did not answer within 0.2 s.")
