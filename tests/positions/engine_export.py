"""An export of the original engine's database, made by hand: its tables, columns, and what formats make of values.

Alice has two agents. `alpha` trades simulated money: a position in BONK, with two take-profits and a DCA between them,
and two closed ones in WIF. `beta` trades live: an open position in JUP whose swaps are not there any more, a closed one
in BONK whose purchase is not there, an open one in WIF, and swaps without a position.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZipFile

from tests.conftest import BONK, JUP, WIF

SOL = "So11111111111111111111111111111111111111112"
POP = "PopQ8LxkaGSWDcaYfLaPNPUoT6kVUFJ6qYvKMVmtHxk"
MEW = "MewQbMkVzfBJdHdKs9a9UdmEwvtQhgPSVpBpWDqHkkw"
SIMULATED, LIVE = "sim_5fLzVYoXv9yGWJmsgnJhSpY7dsYmkpRPzHR", "BetaLive1111111111111111111111111111111111"
ALPHA, BETA = "6a1de2a1-3f0c-4c39-8a52-0f0de2a0a001", "6a1de2a1-3f0c-4c39-8a52-0f0de2a0a002"
ALICE = "0b0c6f3a-94f5-4d7e-b4a4-2f3f0c1d0001"
SIGNATURE = "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQ{}"


def key(number: int) -> str:
    return str(UUID(int=(0x7A1D << 112) + number))


def at(day: int, hour: int = 12) -> str:
    return f"2026-02-{day:02}T{hour:02}:00:00.123+00:00"


def swap(number: int, wallet: str, day: int, source: Any, target: Any, **more: Any) -> dict[str, Any]:
    """A row of agent_transactions: what went in and what came out, each a mint, a symbol and an amount."""
    agent = ALPHA if wallet == SIMULATED else BETA
    names = ("mint", "symbol", "amount")
    both = {f"input_{name}": value for name, value in zip(names, source, strict=True)}
    both |= {f"output_{name}": value for name, value in zip(names, target or (None,) * 3, strict=True)}
    return {
        "id": key(number),
        "agent_id": agent,
        "wallet_address": wallet,
        "transaction_type": "SWAP",
        "transaction_value_usd": "0.00000000",
        "transaction_time": at(day),
        **both,
        "input_price": None,
        "output_price": None,
        "is_dca": False,
        "is_take_profit": False,
        "transaction_hash": None if wallet == SIMULATED else SIGNATURE.format(number),
        "protocol_fee_sol": None,
        "network_fee_sol": None,
        "swap_payload": {"inAmount": "2000000000"},
        **more,
    }


def closed(number: int, wallet: str, token: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": key(number),
        "agent_id": ALPHA if wallet == SIMULATED else BETA,
        "wallet_address": wallet,
        "token_address": token[0],
        "token_symbol": token[1],
        "sale_price": "0",
        "change_percent": "0",
        "profit_loss_usd": "0",
        "signal_id": None,
        **more,
    }


def held(number: int, wallet: str, token: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": key(number),
        "agent_id": ALPHA if wallet == SIMULATED else BETA,
        "wallet_address": wallet,
        "token_address": token[0],
        "token_symbol": token[1],
        "purchase_price": "0.000001",
        "current_stop_loss_percentage": None,
        "peak_price": None,
        "last_stop_loss_update": None,
        "dca_count": 0,
        "dca_transaction_ids": [],
        "last_dca_time": None,
        "lowest_price": None,
        "remaining_amount": None,
        "take_profit_levels_hit": 0,
        "take_profit_transaction_ids": [],
        "last_take_profit_time": None,
        "moon_bag_activated": False,
        "moon_bag_amount": None,
        "realized_profit_sol": "0.00000000",
        "tp_batch_start_level": 0,
        "total_take_profit_levels": None,
        **more,
    }


def tables() -> dict[str, list[dict[str, Any]]]:
    """Return the export, with texts for numbers, as Prisma writes them."""
    sol = (SOL, "SOL")
    bonk, wif, jup = (BONK, "BONK"), (WIF, "WIF"), (JUP, "JUP")
    fees = {"protocol_fee_sol": "0.00200000", "network_fee_sol": "0.00100000"}
    return {
        "users": [{"id": ALICE, "email": "Alice@example.org"}],
        "agents": [
            {
                "id": ALPHA,
                "user_id": ALICE,
                "name": "alpha",
                "trading_mode": "simulation",
                "created_at": at(1),
            },
            {"id": BETA, "user_id": ALICE, "name": "beta", "trading_mode": "live", "created_at": at(1)},
        ],
        "agent_wallets": [
            {
                "wallet_address": SIMULATED,
                "agent_id": ALPHA,
                "wallet_type": "simulation",
                "created_at": at(1),
            },
            {"wallet_address": LIVE, "agent_id": BETA, "wallet_type": "live", "created_at": at(1)},
        ],
        "agent_transactions": [
            swap(
                1, SIMULATED, 2, (*sol, "2"), (*bonk, "1000000"), transaction_value_usd="300.00000000", **fees
            ),
            swap(
                2,
                SIMULATED,
                3,
                (*bonk, "400000"),
                (*sol, "1.2"),
                transaction_value_usd="192.00000000",
                **fees,
            ),
            swap(
                3, SIMULATED, 4, (*sol, "0.5"), (*bonk, "300000"), transaction_value_usd="75.00000000", **fees
            ),
            swap(
                4,
                SIMULATED,
                5,
                (*bonk, "200000"),
                (*sol, "0.8"),
                transaction_value_usd="120.00000000",
                **fees,
            ),
            swap(5, SIMULATED, 2, (*sol, "1"), (*wif, "100")),
            swap(6, SIMULATED, 3, (*wif, "100"), (*sol, "0.7")),
            swap(7, SIMULATED, 4, (*sol, "1"), (*wif, "100")),
            swap(8, SIMULATED, 5, (*wif, "99.9995"), (*sol, "1.5")),
            swap(9, LIVE, 6, (*bonk, "5000"), (*sol, "0.9"), **fees),
            swap(10, LIVE, 7, (*sol, "3"), (*wif, "30"), transaction_value_usd="450.00000000", **fees),
            swap(11, LIVE, 7, (*sol, "1"), (MEW, "MEW", "100")),
            swap(12, LIVE, 8, (MEW, "MEW", "100"), (POP, "POP", "50"), input_price="0.02"),
            swap(13, LIVE, 9, (POP, "POP", "50"), None, transaction_type="BURN"),
            swap(14, LIVE, 1, (*sol, "20"), None, transaction_type="DEPOSIT"),
        ],
        "agent_positions": [
            held(
                31,
                SIMULATED,
                bonk,
                purchase_transaction_id=key(1),
                purchase_amount="1300000.000000000000000000",
                total_invested_sol="2.50200000",
                remaining_amount="700000",
                realized_profit_sol="0.80867692",
                current_stop_loss_percentage="-20.00",
                last_stop_loss_update=at(3),
                peak_price="0.000005",
                lowest_price="0.000001",
                dca_count=1,
                dca_transaction_ids=[key(3)],
                last_dca_time=at(4),
                take_profit_levels_hit=3,
                take_profit_transaction_ids=[key(2), key(4)],
                last_take_profit_time=at(5),
                moon_bag_activated=True,
                moon_bag_amount="260000",
                tp_batch_start_level=2,
                total_take_profit_levels=6,
                created_at=at(2),
                updated_at=at(5),
            ),
            held(
                32,
                LIVE,
                jup,
                purchase_transaction_id=key(98),
                purchase_amount="400",
                total_invested_sol="2",
                remaining_amount="300",
                realized_profit_sol="0.25",
                take_profit_levels_hit=1,
                take_profit_transaction_ids=[key(99)],
                last_take_profit_time=at(6),
                created_at=at(2),
                updated_at=at(6),
            ),
            held(
                33,
                LIVE,
                wif,
                purchase_transaction_id=key(10),
                purchase_amount="30",
                total_invested_sol="3.00300000",
                created_at=at(7),
                updated_at=at(7),
            ),
        ],
        "agent_historical_swaps": [
            closed(
                41,
                SIMULATED,
                wif,
                amount="100",
                purchase_price="0.01",
                profit_loss_sol="-0.30000000",
                purchase_time=at(2),
                sale_time=at(3),
                purchase_transaction_id=key(5),
                sale_transaction_id=key(6),
                close_reason="stop_loss",
            ),
            closed(
                42,
                SIMULATED,
                wif,
                amount="100",
                purchase_price="0.01",
                profit_loss_sol="0.50000000",
                purchase_time=at(4),
                sale_time=at(5),
                purchase_transaction_id=key(7),
                sale_transaction_id=key(8),
                close_reason="take_profit",
            ),
            closed(
                43,
                LIVE,
                bonk,
                amount="5000",
                purchase_price="0.0002",
                profit_loss_sol="-0.10300000",
                purchase_time=at(3),
                sale_time=at(6),
                purchase_transaction_id=None,
                sale_transaction_id=key(9),
                close_reason="manual",
            ),
        ],
    }


def as_json(folder: Path, export: dict[str, Any]) -> Path:
    """As `json_agg` writes it: numbers are numbers."""
    path = folder / "engine.json"
    number = r'"(-?\d+\.?\d*)"'
    columns = "amount|price|percentage|invested_sol|fee_sol|profit_sol|loss_sol|value_usd"
    path.write_text(re.sub(rf'("\w*(?:{columns})": ){number}', r"\1\2", json.dumps(export)))
    return path


def as_prisma(folder: Path, export: dict[str, Any]) -> Path:
    """As its client gives it: camelCase, times with Z, numbers as texts."""

    def camel(name: str) -> str:
        return re.sub("_(.)", lambda match: match[1].upper(), name)

    rows = {
        camel(table.removesuffix("s")): [{camel(name): value for name, value in row.items()} for row in rows]
        for table, rows in export.items()
    }
    path = folder / "prisma.json"
    path.write_text(json.dumps(rows).replace("+00:00", "Z"))
    return path


def as_csv(folder: Path, export: dict[str, Any]) -> Path:
    """As `COPY … TO … CSV HEADER` writes it."""

    def cell(value: Any) -> str:
        if isinstance(value, list):
            return "{" + ",".join(value) + "}"
        if isinstance(value, dict):
            return json.dumps(value)
        if isinstance(value, bool):
            return "t" if value else "f"
        return "" if value is None else str(value)

    path = folder / "csv"
    path.mkdir(exist_ok=True)
    for table, rows in export.items():
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(rows[0])
        writer.writerows([cell(value) for value in row.values()] for row in rows)
        (path / f"{table}.csv").write_text(re.sub(r"(\d\d)T(\d\d:.*?)\+00:00", r"\1 \2+00", text.getvalue()))
    return path


def as_zip(folder: Path, export: dict[str, Any]) -> Path:
    path = folder / "engine.zip"
    with ZipFile(path, "w") as archive:
        for file in as_csv(folder, export).iterdir():
            archive.write(file, file.name)
    return path
