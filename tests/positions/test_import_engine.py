"""`manage.py import_engine`: what the original engine has stored comes in once, and what differs is named."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from positions.books.trades import Side
from positions.models import Agent, Position, PositionEvent, Trade, Wallet
from positions.services.checking import check_books
from tests.conftest import BONK, JUP, WIF, person
from tests.documents import blocks
from tests.positions import engine_export as engine
from tests.positions.engine_export import key, tables
from tests.positions.world import check

pytestmark = pytest.mark.django_db

HERE = engine.SIMULATED.replace("sim_", "Sim")
Export = dict[str, list[dict[str, Any]]]


class Imported:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        export: Export | Path,
        *options: str,
        form: Callable[[Path, Export], Path] = engine.as_json,
        commit: bool = True,
    ) -> list[str]:
        """Import it; return what was said, line by line. A refusal is a CommandError that has the lines, too."""
        path = export if isinstance(export, Path) else form(self.folder, export)
        said, refused = io.StringIO(), io.StringIO()
        try:
            call_command("import_engine", str(path), *options, commit=commit, stdout=said, stderr=refused)
        except CommandError as error:
            raise CommandError(f"{refused.getvalue()}{error}") from error
        finally:
            self.said = said.getvalue().splitlines()
        return self.said


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    return Imported(tmp_path)


@pytest.fixture
def alice(db: None) -> User:
    alice = person("alice")
    alice.email = "alice@example.org"
    alice.save()
    return alice


def content() -> list[Any]:
    """Return all that is stored, but for what is new in every run."""
    trades = Trade.objects.order_by("wallet", "executed_at", "side", "tokens")
    positions = Position.objects.order_by("pk")
    names = [field.attname for field in Position._meta.concrete_fields if field.name != "updated_at"]
    figures = (
        "wallet",
        "position__token_address",
        "side",
        "tokens",
        "sol",
        "fee_sol",
        "sol_usd",
        "transaction_id",
    )
    # A position that the export does not know has an id of its own.
    known = {key(number) for number in range(100)}
    rows = [row for row in positions.values(*names) if str(row["id"]) in known]
    return [
        list(Agent.objects.values("id", "name", "trading_mode", "owner", "created_at")),
        list(Wallet.objects.values("address", "agent", "kind", "created_at")),
        rows,
        list(trades.values(*figures, "executed_at", "figures")),
    ]


def nothing() -> bool:
    models: list[Any] = [Agent, Wallet, Position, Trade, PositionEvent]
    return not any(model.objects.exists() for model in models)


@pytest.mark.both_databases
def test_export_comes_in_as_it_was(alice: User, imported: Imported):
    said = imported(tables())
    alpha, beta = Agent.objects.get(pk=engine.ALPHA), Agent.objects.get(pk=engine.BETA)
    assert {alpha.owner, beta.owner} == {alice}
    assert (alpha.name, alpha.trading_mode, beta.trading_mode) == ("alpha", "simulation", "live")
    assert sorted(Wallet.objects.values_list("address", "agent__name", "kind")) == [
        (engine.LIVE, "beta", "live"),
        (HERE, "alpha", "simulation"),
    ]
    assert Position.objects.filter(status="open").count() == 3
    assert said[-1] == (
        "Made 2 agents and 2 wallets, and booked 16 trades in 8 positions; already booked: 0; differences: 1."
    )
    assert list(check_books()) == []
    for agent in (alpha, beta):
        check(agent.pk)


def test_open_position_has_its_figures_and_rules(alice: User, imported: Imported):
    imported(tables())
    bonk = Position.objects.get(pk=key(31))
    assert (bonk.wallet_address, bonk.token_address, bonk.token_symbol) == (HERE, BONK, "BONK")
    assert (bonk.purchase_amount, bonk.remaining_amount) == (1_300_000, 700_000)
    # A simulated purchase costs what went in and the network's fee, as the engine has it.
    assert bonk.total_invested_sol == Decimal("2.502")
    assert (bonk.dca_count, bonk.dca_transaction_ids) == (1, [key(3)])
    assert bonk.purchase_transaction_id == key(1)
    assert bonk.take_profit_transaction_ids == [key(2), key(4)]
    assert (bonk.take_profit_levels_hit, bonk.tp_batch_start_level, bonk.total_take_profit_levels) == (
        3,
        2,
        6,
    )
    assert (bonk.moon_bag_activated, bonk.moon_bag_amount) == (True, 260_000)
    assert (bonk.current_stop_loss_percentage, bonk.peak_price) == (-20, Decimal("0.000005"))
    assert bonk.created_at.isoformat() == "2026-02-02T12:00:00.123000+00:00"
    first, sale, *_ = Trade.objects.filter(position=bonk).order_by("executed_at")
    assert (first.side, first.sol, first.fee_sol, first.sol_usd) == (
        Side.PURCHASE,
        Decimal("2.001"),
        Decimal("0.001"),
        150,
    )
    assert (sale.side, sale.sol, sale.fee_sol, sale.sol_usd) == (
        Side.SALE,
        Decimal("1.197"),
        Decimal("0.003"),
        160,
    )


def test_one_event_tells_all_of_a_position(alice: User, imported: Imported):
    imported(tables())
    [event] = PositionEvent.objects.filter(position_id=key(31))
    assert event.position is not None
    assert event.position["total_take_profit_levels"] == 6


def test_live_position_has_signatures_and_all_fees_and_no_plan(alice: User, imported: Imported):
    imported(tables())
    wif = Position.objects.get(pk=key(33))
    assert wif.purchase_transaction_id == engine.SIGNATURE.format(10)
    assert (wif.total_invested_sol, wif.remaining_amount) == (Decimal("3.003"), 30)
    assert (wif.total_take_profit_levels, wif.tp_batch_start_level) == (None, None)


def test_closed_positions_have_their_result_and_reason(alice: User, imported: Imported):
    imported(tables())
    for number, profit, reason, closed in [
        (41, "-0.3", "stop_loss", 3),
        (42, "0.5", "take_profit", 5),
        (43, "-0.103", "manual", 6),
    ]:
        row = Position.objects.get(pk=key(number))
        assert (row.status, row.remaining_amount, row.close_reason) == ("closed", 0, reason)
        assert row.realized_profit_sol == Decimal(profit)
        assert row.closed_at is not None
        assert row.closed_at.day == closed


def test_what_the_export_does_not_say_is_named(alice: User, imported: Imported):
    export = tables()
    export["agent_balances"] = [{"id": key(70)}]
    export["agents"][0]["mood"] = "good"
    said = imported(export)
    assert said[:-1] == [
        "agents: the column mood is unknown, and ignored",
        "agent_balances: not imported",
        "deposits of SOL: 1, which are no trades here",
        "agent_historical_swaps row 3: its purchase is not in the export: booked as 1 SOL",
        "agent_positions row 2: 2 of its transactions are not in the export: its figures are booked as a balance",
        f"agent_wallets row 1: {engine.SIMULATED} is {HERE} here",
        # The engine takes a sale's cost from all that was ever bought, also from what was bought after another sale.
        "agent_positions row 1: BONK: realized_profit_sol is 0.815466667 here, 0.80867692 in the export",
    ]
    jup = Position.objects.get(pk=key(32))
    assert (jup.remaining_amount, jup.total_invested_sol, jup.realized_profit_sol) == (
        300,
        2,
        Decimal("0.25"),
    )
    assert (jup.token_address, jup.take_profit_levels_hit) == (JUP, 1)
    assert [trade.side for trade in jup.trades.all()] == [Side.BALANCE]
    assert jup.created_at.day == 2


def test_swap_of_two_tokens_is_a_sale_and_a_purchase_and_a_burn_a_sale_for_nothing(
    alice: User, imported: Imported
):
    imported(tables())
    mew = Position.objects.get(token_symbol="MEW")
    pop = Position.objects.get(token_symbol="POP")
    signature = engine.SIGNATURE.format(12)
    assert (mew.realized_profit_sol, mew.take_profit_transaction_ids) == (1, [f"{signature}:sale"])
    assert (pop.purchase_transaction_id, pop.total_invested_sol) == (f"{signature}:purchase", 2)
    assert (pop.status, pop.realized_profit_sol) == ("closed", -2)


@pytest.mark.parametrize("form", [engine.as_prisma, engine.as_csv, engine.as_zip])
def test_every_format_makes_the_same(alice: User, imported: Imported, form: Callable[..., Path]):
    imported(tables())
    expected = content()
    Agent.objects.all().delete()
    export = tables()
    export["agent_transactions"][0]["swap_payload"] = {"transaction": "A" * 200_000}
    imported(export, form=form)
    assert content() == expected


@pytest.mark.both_databases
def test_second_time_adds_nothing(alice: User, imported: Imported):
    imported(tables())
    before, events = content(), PositionEvent.objects.count()
    said = imported(tables())
    assert said[-1] == (
        "Made 0 agents and 0 wallets, and booked 0 trades in 0 positions; already booked: 16; differences: 1."
    )
    assert (content(), PositionEvent.objects.count()) == (before, events)


@pytest.mark.both_databases
def test_later_export_adds_what_has_happened_since(alice: User, imported: Imported):
    """The engine deletes a position that it closes, and its historical swap has another id: it stays one here."""
    imported(tables())
    later = tables()
    sale = (WIF, "WIF", "30"), (engine.SOL, "SOL", "4.003")
    fees = {"protocol_fee_sol": "0.002", "network_fee_sol": "0.001"}
    later["agent_transactions"].append(engine.swap(15, engine.LIVE, 10, *sale, **fees))
    del later["agent_positions"][2]
    later["agent_historical_swaps"].append(
        engine.closed(
            44,
            engine.LIVE,
            (WIF, "WIF"),
            amount="30",
            purchase_price="0.1",
            profit_loss_sol="0.997",
            purchase_time=engine.at(7),
            sale_time=engine.at(10),
            purchase_transaction_id=key(10),
            sale_transaction_id=key(15),
            close_reason="take_profit",
        )
    )
    said = imported(later)
    assert said[-1].endswith("booked 1 trade in 1 position; already booked: 16; differences: 1.")
    wif = Position.objects.get(pk=key(33))
    assert (wif.status, wif.realized_profit_sol, wif.close_reason) == (
        "closed",
        Decimal("0.997"),
        "take_profit",
    )
    assert list(check_books()) == []


@pytest.mark.both_databases
def test_import_says_the_same_and_writes_nothing_until_told_to(alice: User, imported: Imported):
    said = imported(tables(), commit=False)
    assert said[-1] == (
        "Would make 2 agents and 2 wallets, and book 16 trades in 8 positions; already booked: 0; differences: 1."
        " Nothing was written; use --commit to write."
    )
    assert nothing()
    assert imported(tables())[:-1] == said[:-1]


def test_tokens_sold_or_left_that_no_swap_explains_are_booked_and_named(alice: User, imported: Imported):
    export = tables()
    export["agent_transactions"][5]["input_amount"] = "110"
    export["agent_transactions"][7]["input_amount"] = "90"
    said = imported(export)
    assert "agent_transactions row 6: sells 10 more than was held: they are booked as an airdrop" in said
    assert "agent_historical_swaps row 2: closed with 10 tokens left: they are booked as sent away" in said
    for number, profit in [(41, "-0.3"), (42, "0.6")]:
        row = Position.objects.get(pk=key(number))
        assert (row.status, row.realized_profit_sol) == ("closed", Decimal(profit))
    assert "agent_historical_swaps row 2: WIF: profit_loss_sol is 0.6 here, 0.5 in the export" in said
    assert list(check_books()) == []


def test_position_that_swaps_lead_to_and_the_export_does_not_have_is_named(alice: User, imported: Imported):
    export = tables()
    del export["agent_positions"][2]
    said = imported(export)
    text = f"agent_positions: WIF in {engine.LIVE} is open here with 30 held, and not in the export"
    assert text in said


def test_position_that_its_swaps_have_sold_is_named(alice: User, imported: Imported):
    export = tables()
    sold = engine.swap(15, engine.LIVE, 10, (WIF, "WIF", "30"), (engine.SOL, "SOL", "4"))
    export["agent_transactions"].append(sold)
    assert "agent_positions row 3: WIF is not open here" in imported(export)


def test_closed_position_without_any_swap_is_made_of_its_result(alice: User, imported: Imported):
    export = tables()
    export["agent_transactions"] = [each for each in export["agent_transactions"] if each["id"] != key(9)]
    said = imported(export)
    assert "agent_historical_swaps row 3: its sale is not in the export: booked as 0.897 SOL" in said
    row = Position.objects.get(pk=key(43))
    assert (row.status, row.total_invested_sol, row.realized_profit_sol) == ("closed", 1, Decimal("-0.103"))


def test_every_bad_row_is_named_and_nothing_is_made(alice: User, imported: Imported):
    export = tables()
    export["agents"][0]["trading_mode"] = "dream"
    export["agent_wallets"][1]["wallet_address"] = "0xabc"
    export["agent_positions"][1]["moon_bag_amount"] = "-1"
    rows = export["agent_transactions"]
    rows[0]["output_amount"] = None
    rows[1]["transaction_time"] = "2026-02-03T12:00:00"
    rows[2]["output_amount"] = "many"
    rows[3]["transaction_type"] = "GIFT"
    rows[10]["transaction_hash"] = rows[9]["transaction_hash"]
    export["agents"][1]["name"] = " "
    with pytest.raises(CommandError) as refused:
        imported(export)
    problems = str(refused.value).splitlines()
    for problem in (
        "agents row 1: trading_mode must be one of simulation, live, not dream",
        "agents row 2: name is missing",
        "agent_positions row 2: moon_bag_amount must be at least 0 and below 1000000000000000000000, not -1",
        f"agent_positions row 3: wallet_address: no row of agent_wallets has {engine.LIVE}",
        "agent_transactions row 1: output_amount is missing",
        'agent_transactions row 2: transaction_time must be a time with its zone, not "2026-02-03T12:00:00"',
        'agent_transactions row 3: output_amount must be a number, such as 0.25 or 1.2e-7, not "many"',
        "agent_transactions row 4: transaction_type must be SWAP, DEPOSIT or BURN, not GIFT",
        "agent_transactions row 11: transaction_hash: row 10 has it already, in the same wallet",
    ):
        assert problem in problems
    assert problems[-1].endswith(" problems: nothing was made.")
    assert nothing()


@pytest.mark.parametrize(
    ("table", "row", "changes", "problem"),
    [
        ("agents", 1, {"id": "alpha"}, 'id must be a UUID, not "alpha"'),
        ("agents", 1, {"user_id": key(77)}, "user_id: no row of users has this id"),
        ("agents", 1, {"name": 5}, "name must be a text, not 5"),
        ("agent_wallets", 1, {"agent_id": key(77)}, "agent_id: no agent of the export has this id"),
        (
            "agent_wallets",
            2,
            {"wallet_type": None, "created_at": "soon"},
            "created_at must be a time with its zone",
        ),
        (
            "agent_positions",
            1,
            {"moon_bag_activated": "maybe"},
            'moon_bag_activated must be true or false, not "maybe"',
        ),
        ("agent_positions", 1, {"dca_count": "1.5"}, 'dca_count must be a whole number from 0 on, not "1.5"'),
        ("agent_positions", 1, {"dca_count": [1]}, "dca_count must be a number, not a list"),
        (
            "agent_positions",
            1,
            {"dca_transaction_ids": "a,b"},
            'dca_transaction_ids must be an array of texts, not "a,b"',
        ),
        (
            "agent_positions",
            1,
            {"current_stop_loss_percentage": "-101"},
            "current_stop_loss_percentage must be at least -100 and below 100000, not -101",
        ),
        ("agent_historical_swaps", 1, {"amount": None}, "amount is missing"),
        ("agent_transactions", 1, {"output_mint": None}, "output_mint is missing"),
        ("agent_transactions", 1, {"output_amount": "0"}, "tokens must be more than 0, not 0"),
        ("agent_transactions", 12, {"input_price": None}, "input_price and output_price are missing"),
    ],
)
def test_value_that_cannot_be_is_named(
    alice: User, imported: Imported, table: str, row: int, changes: dict[str, Any], problem: str
):
    export = tables()
    export[table][row - 1] |= changes
    with pytest.raises(CommandError) as refused:
        imported(export)
    assert f"{table} row {row}: {problem}" in str(refused.value)
    assert nothing()


def test_what_is_no_trade_is_counted(alice: User, imported: Imported):
    export = tables()
    export["agent_transactions"][10] |= {"output_mint": engine.SOL}
    export["agent_transactions"][12] |= {"input_mint": engine.SOL}
    del export["agent_transactions"][11]
    said = imported(export)
    for line in ("burns of SOL: 1", "deposits of SOL: 1", "swaps of a token for itself: 1"):
        assert f"{line}, which are no trades here" in said


def test_deposit_of_a_token_is_a_transfer_at_no_cost(alice: User, imported: Imported):
    export = tables()
    export["agent_transactions"][13] |= {"input_mint": JUP, "input_symbol": "JUP"}
    imported(export)
    trade = Trade.objects.get(side=Side.TRANSFER_IN)
    assert (trade.tokens, trade.sol, trade.position.token_symbol) == (20, 0, "JUP")


def test_name_that_is_too_long_is_cut_and_named(alice: User, imported: Imported):
    export = tables()
    export["agents"][0]["name"] = "a" * 101
    assert f"agents row 1: its name is {'a' * 100!r} here" in imported(export)
    assert Agent.objects.get(pk=engine.ALPHA).name == "a" * 100


def test_wallet_and_position_that_are_elsewhere_are_refused(alice: User, imported: Imported):
    imported(tables())
    Agent.objects.filter(pk=engine.ALPHA).update(owner=person("bob"))
    moved = tables()
    moved["agents"] = moved["agents"][1:]
    moved["agent_wallets"] = moved["agent_wallets"][1:]
    moved["agent_transactions"] = moved["agent_transactions"][8:]
    moved["agent_historical_swaps"] = moved["agent_historical_swaps"][2:]
    moved["agent_positions"][0]["wallet_address"] = engine.LIVE
    del moved["agent_positions"][1:]
    with pytest.raises(CommandError, match=f"Position {key(31)} is here already, in another wallet"):
        imported(moved)
    other = tables()
    other["agents"].append({**other["agents"][1], "id": key(78), "name": "gamma"})
    other["agent_wallets"][1]["agent_id"] = key(78)
    with pytest.raises(CommandError, match=f"{engine.LIVE} belongs to another agent of its owner here"):
        imported(other, "--owner", "alice")


def test_csv_whose_rows_have_other_lengths_is_refused(imported: Imported, tmp_path: Path):
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv/agents.csv").write_text("id,name\n1\n")
    with pytest.raises(CommandError, match=r"agents\.csv, row 1: 1 cells, but 2 columns"):
        imported(tmp_path / "csv")


def test_very_many_problems_are_counted(alice: User, imported: Imported):
    export = tables()
    export["agent_transactions"] = [{**each, "id": None} for each in export["agent_transactions"] * 10]
    with pytest.raises(CommandError, match=r"and [\d,]+ more\n[\d,]+ problems: nothing was made"):
        imported(export)


def test_agent_that_is_there_twice_is_refused(alice: User, imported: Imported):
    export = tables()
    export["agents"].append(export["agents"][0])
    with pytest.raises(CommandError, match="agents row 3: id: an earlier row has it already"):
        imported(export)
    assert nothing()


def test_address_that_is_none_is_refused(alice: User, imported: Imported):
    export = tables()
    for rows in export.values():
        for row in rows:
            if row.get("wallet_address") == engine.LIVE:
                row["wallet_address"] = "0xabc"
    with pytest.raises(
        CommandError, match="agent_wallets row 2: wallet_address: '0xabc' is no address of Solana"
    ):
        imported(export)
    assert nothing()


def test_owner_is_found_by_email_or_named(alice: User, imported: Imported):
    bob = person("bob")
    imported(tables(), "--owner", "bob")
    assert set(Agent.objects.values_list("owner__username", flat=True)) == {"bob"}
    with pytest.raises(CommandError, match=f"agents row 1: id: agent {engine.ALPHA} is another user's here"):
        imported(tables())
    Agent.objects.all().delete()
    export = tables()
    export["users"][0]["email"] = bob.get_username()
    imported(export)
    assert set(Agent.objects.values_list("owner__username", flat=True)) == {"bob"}


@pytest.mark.parametrize(
    ("email", "message"),
    [
        ("eve@example.org", "users row 1: email: no one user here has the name or email eve@example.org"),
        (None, "users row 1: email is missing"),
    ],
)
def test_owner_who_is_not_here_is_named(alice: User, imported: Imported, email: str | None, message: str):
    export = tables()
    export["users"][0]["email"] = email
    with pytest.raises(CommandError, match=message):
        imported(export)
    assert nothing()


def test_export_without_users_needs_an_owner(alice: User, imported: Imported):
    export = tables()
    del export["users"]
    with pytest.raises(CommandError, match="say with --owner USER whose agents these are"):
        imported(export)
    with pytest.raises(CommandError, match="There is no user 'eve'"):
        imported(export, "--owner", "eve")
    assert "Made 2 agents" in imported(export, "--owner", "alice")[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "must be a JSON object that has an array of rows for each table"),
        ('{"agents": {"id": 1}}', "must be a JSON object that has an array of rows for each table"),
        ('{"agents": [1]}', "agents row 1 must be an object, whose keys are columns"),
        ('{"agents": [{"id": "1"}]}', "agents lacks name"),
        ('{"agents": [], "Agent": []}', "The export has agents twice"),
        ("{", "is neither JSON nor a folder or zip of CSV files"),
    ],
)
def test_file_that_is_no_export_is_refused(imported: Imported, tmp_path: Path, text: str, message: str):
    path = tmp_path / "engine.json"
    path.write_text(text)
    with pytest.raises(CommandError, match=message):
        imported(path)


def test_file_that_is_not_there_is_refused(imported: Imported, tmp_path: Path):
    with pytest.raises(CommandError, match="cannot be read"):
        imported(tmp_path / "nowhere.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="has no CSV files"):
        imported(tmp_path / "empty")


TYPES = {
    "uuid": r"(?:.*_)?id",
    "timestamptz(6)": r"\w+_(?:at|time|update)",
    "numeric(30,18)": r"\w*(?:amount|price)",
    "numeric(20,8)": r"\w+_(?:sol|usd)",
    "numeric(10,4)": r"\w+_(?:percent|percentage)",
    "boolean": r"is_\w+|moon_bag_activated",
    "integer": r"dca_count|\w+_levels?|\w+_levels_hit|signal_id",
    "text[]": r"\w+_ids",
    "jsonb": "swap_payload",
}


@pytest.mark.postgresql
def test_documented_statement_writes_what_is_read(alice: User, imported: Imported, tmp_path: Path):
    """On tables of PostgreSQL that have the engine's types."""
    [statement] = [block.text for block in blocks("docs/from-the-engine.md", "sql")]
    imported(tables())
    expected = content()
    Agent.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA engine; SET search_path TO engine")
        try:
            for table, rows in tables().items():
                columns = dict.fromkeys(name for row in rows for name in row)
                types = [
                    next((kind for kind, names in TYPES.items() if re.fullmatch(names, name)), "text")
                    for name in columns
                ]
                typed = ", ".join(f"{name} {kind}" for name, kind in zip(columns, types, strict=True))
                cursor.execute(f"CREATE TABLE {table} ({typed})")
                cursor.execute(
                    f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, %s)",  # noqa: S608
                    [json.dumps(rows)],
                )
            cursor.execute(statement)
            [[document]] = cursor.fetchall()
            text = document if isinstance(document, str) else json.dumps(document)
        finally:
            cursor.execute("SET search_path TO DEFAULT; DROP SCHEMA engine CASCADE")
    path = tmp_path / "exported.json"
    path.write_text(text)
    imported(path)
    assert content() == expected
