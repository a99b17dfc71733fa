"""`manage.py import_trades` and `manage.py export_trades`: trades of the past come in once, and go out as they are."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from positions import services
from positions.books.trades import Side, fold
from positions.models import Position, PositionEvent, Trade, Wallet
from positions.services.checking import check_books
from positions.services.correcting import correct
from tests.conftest import BONK, JUP, WIF

pytestmark = pytest.mark.django_db(transaction=True)

LAST_YEAR = datetime(2025, 3, 1, 12, tzinfo=UTC)
HEADER = "executed_at,wallet,token_address,token_symbol,side,tokens,sol,fee_sol,sol_usd,transaction_id"
COLUMNS_ARE_WRONG = "line 1: the columns are not those of trades"
FIGURES = (
    "token_symbol",
    "status",
    "purchase_price",
    "purchase_amount",
    "remaining_amount",
    "total_invested_sol",
    "realized_profit_sol",
    "cost_usd",
    "realized_profit_usd",
    "dca_count",
    "take_profit_levels_hit",
    "created_at",
    "last_trade_at",
    "closed_at",
    "purchase_transaction_id",
    "dca_transaction_ids",
    "take_profit_transaction_ids",
)


class Imported:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "trades.csv"

    def __call__(self, text: str, *options: str) -> str:
        """Import this text; return what was said. A refusal is a CommandError, whose `args` begin with the lines."""
        self.path.write_text(text, newline="")
        out, errors = io.StringIO(), io.StringIO()
        try:
            call_command("import_trades", str(self.path), *options, stdout=out, stderr=errors)
        except CommandError as error:
            raise CommandError("\n".join([*errors.getvalue().splitlines(), str(error)])) from error
        return out.getvalue()


@pytest.fixture
def load(tmp_path: Path) -> Imported:
    return Imported(tmp_path)


def exported(*options: str) -> str:
    out = io.StringIO(newline="")
    call_command("export_trades", *options, stdout=out)
    return out.getvalue()


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def line(wallet: Wallet, side: str, tokens: str, sol: str, **cells: Any) -> str:
    at = cells.pop("at", LAST_YEAR)
    given: Mapping[str, Any] = {
        "executed_at": at.isoformat() if isinstance(at, datetime) else at,
        "wallet": wallet.pk,
        "token_address": WIF,
        "token_symbol": "WIF",
        "side": side,
        "tokens": tokens,
        "sol": sol,
        **cells,
    }
    return ",".join(str(given.get(name, "")) for name in HEADER.split(","))


def file_of(*lines: str) -> str:
    return "\n".join([HEADER, *lines, ""])


def figures() -> list[tuple[Any, ...]]:
    positions = Position.objects.order_by("wallet", "token_address", "created_at")
    return [tuple(getattr(position, name) for name in FIGURES) for position in positions]


def check_folds() -> None:
    """Every position is what its trades are."""
    assert list(check_books()) == []
    for position in Position.objects.all():
        assert fold(position.trades.order_by("executed_at", "recorded_at")) == position.books


def day(number: float) -> datetime:
    return LAST_YEAR + timedelta(days=number)


@pytest.fixture
def history(wallet: Wallet) -> None:
    """A token held twice, one of every side, noisy amounts, unknown rates, and text that a spreadsheet would run."""
    first = services.open_position(
        wallet=wallet,
        token_address=WIF,
        token_symbol="=WIF",
        tokens=Decimal("10.123456789"),
        spent_sol=Decimal(2),
        fee_sol=Decimal("0.000005"),
        sol_usd=Decimal(100),
        executed_at=day(0),
        transaction_id="-1",
    )
    key = first.pk
    services.buy_more(
        position_id=key,
        tokens=Decimal(5),
        spent_sol=Decimal(2),
        sol_usd=Decimal(120),
        executed_at=day(1),
        transaction_id="'2",
    )
    services.take_profit(
        position_id=key,
        tokens=Decimal("7.000000001"),
        proceeds_sol=Decimal(3),
        sol_usd=Decimal(150),
        executed_at=day(2),
        transaction_id="tx-3",
        note='=half, "at last"',
    )
    services.close_position(
        position_id=key, proceeds_sol=Decimal(1), sol_usd=Decimal(150), executed_at=day(3), reason="import"
    )
    again = services.open_position(
        wallet=wallet,
        token_address=WIF,
        token_symbol="WIF",
        tokens=Decimal(4),
        spent_sol=Decimal(0),
        side=Side.AIRDROP,
        executed_at=day(4),
    )
    services.transfer_in(position_id=again.pk, tokens=Decimal(6), cost_sol=Decimal(3), executed_at=day(5))
    services.transfer_out(position_id=again.pk, tokens=Decimal(1), executed_at=day(400))
    jup = services.open_position(
        wallet=wallet,
        token_address=JUP,
        token_symbol='\'JUP, "quoted"',
        tokens=Decimal(3),
        spent_sol=Decimal(1),
        executed_at=day(0),
    )
    for _ in range(2):  # two that are the same in all
        services.buy_more(position_id=jup.pk, tokens=Decimal(1), spent_sol=Decimal(1), executed_at=day(6))


# There and back


def test_export_imported_elsewhere_is_the_same_to_the_digit(history: None, wallet: Wallet, load: Imported):
    text, before = exported(), figures()
    Position.objects.all().delete()
    assert load(text, "--commit") == ("Booked 10 trades in 3 positions; already booked: 0.\n")
    assert figures() == before
    check_folds()
    ids = {"position"}
    assert [{k: v for k, v in row.items() if k not in ids} for row in rows(exported())] == [
        {k: v for k, v in row.items() if k not in ids} for row in rows(text)
    ]


def test_export_imported_where_it_comes_from_books_nothing(history: None, load: Imported):
    before, events = figures(), PositionEvent.objects.count()
    for _ in range(2):
        assert load(exported(), "--commit") == "Booked 0 trades in 0 positions; already booked: 10.\n"
    assert (figures(), PositionEvent.objects.count()) == (before, events)


def test_export_of_a_token_that_migrated_is_imported_elsewhere_with_its_history(
    history: None, wallet: Wallet, load: Imported
):
    jup = Position.objects.get(token_address=JUP)
    services.migrate_token(
        position_id=jup.pk, token_address=BONK, ratio=Decimal(1000), transaction_id="moved"
    )
    services.take_profit(position_id=jup.pk, tokens=Decimal(500), proceeds_sol=Decimal(1))
    text, before = exported(), figures()
    Position.objects.all().delete()
    load(text, "--commit")
    assert figures() == before
    check_folds()
    assert "Booked 0 trades" in load(text, "--commit")
    with pytest.raises(
        CommandError, match=r"^line 2: executed_at: the migration .* nothing can be booked before it"
    ):
        load(file_of(line(wallet, "purchase", "1", "1", token_address=BONK, at=day(1))), "--commit")


def test_what_other_code_wrote_is_kept_as_a_balance_that_goes_out_and_in(
    history: None, wallet: Wallet, load: Imported
):
    Position.objects.filter(token_address=JUP).update(realized_profit_sol=Decimal(7))
    load(file_of(line(wallet, "sale", "1", "1", token_address=JUP, at=timezone.now())), "--commit")
    assert Position.objects.get(token_address=JUP).realized_profit_sol == Decimal("7.4")
    held = Position.objects.get(token_address=WIF, status="open")
    correct(position_id=held.pk, values={"purchase_price": Decimal("1e-30"), "dca_count": 5})
    correct(position_id=held.pk, values={"remaining_amount": Decimal(1)})
    text, before = exported(), figures()
    Position.objects.all().delete()
    load(text, "--commit")
    assert figures() == before
    check_folds()
    assert "Booked 0 trades" in load(text, "--commit")
    early = line(wallet, "purchase", "1", "1", token_address=JUP, at=day(1))
    with pytest.raises(
        CommandError, match=r"^line 2: executed_at: the balance of .* nothing can be booked before it"
    ):
        load(file_of(early), "--commit")


def test_position_that_held_nothing_for_a_while_stays_one(wallet: Wallet, load: Imported):
    opened = services.open_position(
        wallet=wallet, token_address=WIF, tokens=Decimal(10), spent_sol=Decimal(1), executed_at=day(0)
    )
    services.buy_more(position_id=opened.pk, tokens=Decimal(5), spent_sol=Decimal(1), executed_at=day(9))
    services.take_profit(  # booked late
        position_id=opened.pk, tokens=Decimal(10), proceeds_sol=Decimal(3), executed_at=day(5)
    )
    text, before = exported(), figures()
    Position.objects.all().delete()
    load(text, "--commit")
    assert figures() == before
    check_folds()
    Position.objects.all().delete()
    without = "\n".join(row.replace(str(opened.pk), "") for row in text.splitlines())
    assert "3 trades in 2 positions" in load(without)  # nothing tells that they were one


def balance(wallet: Wallet, **changes: Any) -> str:
    stated: dict[str, Any] = {
        "purchase_price": "0.5",
        "purchase_amount": "10",
        "remaining_amount": "4",
        "total_invested_sol": "5",
        "realized_profit_sol": "-1.5",
        "dca_count": 1,
    }
    out = io.StringIO()
    figures = json.dumps({key: value for key, value in (stated | changes).items() if value is not None})
    csv.writer(out).writerow([LAST_YEAR.isoformat(), wallet.pk, WIF, "balance", "4", "", figures])
    return out.getvalue().strip()


BALANCES = "executed_at,wallet,token_address,side,tokens,sol,figures"


def test_balance_opens_a_position_with_its_figures(wallet: Wallet, load: Imported):
    load(f"{BALANCES}\n{balance(wallet)}\n", "--commit")
    position = Position.objects.get()
    assert (position.status, position.remaining_amount, position.realized_profit_sol) == (
        "open", 4, Decimal("-1.5"),
    )  # fmt: skip
    assert (position.dca_count, position.cost_usd, position.trades.get().sol) == (1, None, 2)
    check_folds()
    sale = line(wallet, "sale", "4", "1", at=day(1))
    load(file_of(sale), "--commit")
    assert Position.objects.get().status == "closed"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"purchase_price": None},
            "figures must be a JSON object .* with purchase_price, .*, dca_count, not ",
        ),
        ({"extra": "1"}, "figures must be a JSON object .*, not "),
        ({"remaining_amount": "5"}, "tokens must be the remaining_amount of figures, 5, not 4"),
        (
            {"total_invested_sol": "-1"},
            "figures: total_invested_sol must be 0 or more and less than .*, not -1",
        ),
        (
            {"realized_profit_sol": "-1e11"},
            "figures: realized_profit_sol must be more than -.*, not -100000000000",
        ),
        ({"purchase_price": "1e-31"}, "figures: purchase_price must have at most 30 decimals, not 0.0{30}1"),
        ({"purchase_amount": 10}, "figures: purchase_amount must be a string of digits, not 10"),
        ({"purchase_amount": "NaN"}, 'figures: purchase_amount must be a number, .* not "NaN"'),
        ({"dca_count": -1}, "figures: dca_count must be a whole number from 0 to .*, not -1"),
        ({"dca_count": True}, "figures: dca_count must be a whole number from 0 to .*, not true"),
    ],
)
def test_figures_that_no_position_can_have_are_refused(
    wallet: Wallet, load: Imported, changes: dict[str, Any], problem: str
):
    said = refused(load, f"{BALANCES}\n{balance(wallet, **changes)}\n")
    assert re.match(f"line 2: {problem}", said[0]), said
    assert said[-1].endswith(": nothing was booked.")


def test_figures_are_for_balances_only_and_a_balance_needs_them(wallet: Wallet, load: Imported):
    stated = balance(wallet)
    assert refused(load, f"{BALANCES}\n{stated.replace('balance', 'sale').replace(',,', ',1,')}\n")[0] == (
        "line 2: figures must be empty, except for a balance"
    )
    without = line(wallet, "balance", "4", "")
    assert refused(load, file_of(without))[0] == "line 2: figures is missing: a balance states them"
    load(file_of(line(wallet, "purchase", "9", "1", at=day(-1))), "--commit")
    with pytest.raises(
        CommandError, match=r"^line 2: side: a balance can only come with all trades of its position"
    ):
        load(f"{BALANCES}\n{stated}\n", "--commit")


def test_import_narrows_no_extreme_that_the_market_reaches_meanwhile(wallet: Wallet, load: Imported):
    load(file_of(line(wallet, "purchase", "10", "10"), line(wallet, "sale", "1", "2", at=day(1))), "--commit")
    key = Position.objects.get().pk

    def moved(execute: Any, sql: str, *args: Any) -> Any:
        if sql.startswith('INSERT INTO "positions_position"'):
            Position.objects.follow_market({key: (WIF, Decimal(9), Decimal("0.1"))})
        return execute(sql, *args)

    with connection.execute_wrapper(moved):
        load(file_of(line(wallet, "sale", "9", "27", at=day(2))), "--commit")
    position = Position.objects.get()
    assert (position.status, position.peak_price, position.lowest_price) == ("closed", 9, Decimal("0.1"))
    # What is closed follows only its own trades.
    late = [line(wallet, "purchase", "1", "20", at=day(0.1)), line(wallet, "sale", "1", "1", at=day(0.2))]
    load(file_of(*late), "--commit")
    assert Position.objects.get().peak_price == 20


# Many

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def statements(load: Imported, text: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        load(text, "--commit")
    # Once a minute, whoever sends an event asks the database which installation it is of (positions/installations.py).
    return sum("pg_control_system" not in query["sql"] for query in captured)


def test_more_tokens_and_more_trades_take_no_more_statements(wallet: Wallet, load: Imported):
    """As long as they fit one batch: on SQLite, whose statements have at most 999 variables, 20 positions do."""

    def trades(tokens: range, days: range) -> str:
        return file_of(
            *(
                line(
                    wallet, "purchase", "1", "1", token_address=WIF[:-1] + BASE58[token], at=day(at),
                    transaction_id=f"{token}-{at}",
                )
                for token in tokens
                for at in days
            )
        )  # fmt: skip

    few = statements(load, trades(range(1), range(1)))
    assert statements(load, trades(range(1, 21), range(2))) == few
    again = statements(load, trades(range(1, 2), range(2, 3)))
    assert statements(load, trades(range(2, 21), range(2, 4))) == again
    check_folds()


def test_cells_that_a_spreadsheet_would_run_are_quoted(history: None):
    written = {row["token_symbol"] for row in rows(exported())} | {
        row["transaction_id"] for row in rows(exported())
    }
    assert {"'=WIF", "''JUP, \"quoted\"", "'-1", "''2", "tx-3"} <= written


# Importing


def test_import_is_a_dry_run_until_told_otherwise(wallet: Wallet, load: Imported):
    text = file_of(line(wallet, "purchase", "10", "2"))
    said = load(text)
    assert said == (
        "Would book 1 trade in 1 position; already booked: 0. Nothing was written; use --commit to write.\n"
    )
    assert (Position.objects.count(), PositionEvent.objects.count()) == (0, 0)
    load(text, "--commit")
    assert (Position.objects.count(), PositionEvent.objects.count()) == (1, 1)


def test_import_repeated_books_only_what_is_new(wallet: Wallet, load: Imported):
    first = [
        line(wallet, "purchase", "10", "2", transaction_id="tx-1"),
        line(wallet, "purchase", "1", "1", at=day(1)),
        line(wallet, "purchase", "1", "1", at=day(1)),
        line(wallet, "sale", "1.0", "3.50", at=day(2)),
    ]
    load(file_of(*first), "--commit")
    assert load(file_of(*first, line(wallet, "sale", "2", "4", at=day(3))), "--commit") == (
        "Booked 1 trade in 1 position; already booked: 4.\n"
    )
    [position] = Position.objects.all()
    assert (position.remaining_amount, position.total_invested_sol) == (9, 4)
    check_folds()


def test_trades_of_last_year_come_before_those_that_are_booked(wallet: Wallet, load: Imported):
    held = services.open_position(
        wallet=wallet, token_address=WIF, token_symbol="WIF", tokens=Decimal(10), spent_sol=Decimal(5)
    )
    text = file_of(
        # Out of order, and sold again: a position of its own. Then one that is held until today's purchase.
        line(wallet, "sale", "4", "3", at=day(1)),
        line(wallet, "purchase", "4", "2", at=day(0)),
        line(wallet, "purchase", "10", "1", at=day(2), transaction_id="late"),
    )
    load(text, "--commit")
    sold, open_ = Position.objects.order_by("created_at")
    assert (sold.status, sold.realized_profit_sol, sold.closed_at) == ("closed", 1, day(1))
    assert (open_.pk, open_.created_at, open_.remaining_amount) == (held.pk, day(2), 20)
    assert (open_.purchase_price, open_.dca_count) == (Decimal("0.3"), 1)
    check_folds()
    services.take_profit(position_id=held.pk, tokens=Decimal(5), proceeds_sol=Decimal(3))
    check_folds()


def test_sale_of_all_but_dust_closes_and_its_repeat_is_known(wallet: Wallet, load: Imported):
    text = file_of(
        line(wallet, "purchase", "0.30000000000000004", "2", transaction_id="a"),
        line(wallet, "sale", "0.3", "3", at=day(1), transaction_id="b"),
        line(wallet, "purchase", "5", "1", at=day(2)),
    )
    load(text, "--commit")
    assert [position.status for position in Position.objects.order_by("created_at")] == ["closed", "open"]
    assert "already booked: 3" in load(text, "--commit")


def test_imported_trade_and_the_same_over_the_services_are_one(wallet: Wallet, load: Imported):
    load(file_of(line(wallet, "purchase", "10", "2", transaction_id="tx-1")), "--commit")
    [position] = Position.objects.all()
    again = services.open_position(
        wallet=wallet,
        token_address=WIF,
        token_symbol="WIF",
        tokens=Decimal(10),
        spent_sol=Decimal(2),
        transaction_id="tx-1",
    )
    assert again.pk == position.pk
    assert Trade.objects.count() == 1


def test_import_reads_what_a_spreadsheet_saves(wallet: Wallet, load: Imported):
    text = file_of(line(wallet, "purchase", "1.2e-7", "1", at="2025-03-01T12:00:00Z"))
    load("\ufeff" + text.replace("\n", "\r\n") + "\r\n", "--commit")
    assert Position.objects.get().purchase_amount == Decimal("0.00000012")


# What is refused


def refused(load: Imported, text: str) -> list[str]:
    with pytest.raises(CommandError) as error:
        load(text, "--commit")
    assert not Trade.objects.exists()
    assert not PositionEvent.objects.exists()
    return str(error.value).splitlines()


def test_every_invalid_line_is_named_with_field_value_and_limit(wallet: Wallet, load: Imported):
    text = file_of(
        line(wallet, "purchase", "10", "2"),
        line(wallet, "gift", "x", "-1", at="yesterday"),
        line(wallet, "purchase", "0", "0", fee_sol="1", sol_usd="0", token_address="0OIl"),
        line(wallet, "airdrop", "1e21", "1", at="2025-03-01T12:00:00"),
        line(wallet, "purchase", "1", "1", fee_sol="2", transaction_id="x" * 129, at="2019-01-01T00:00:00Z"),
        line(wallet, "purchase", "", "", at="2100-01-01T00:00:00Z"),
        "1,2",
    )
    said = refused(load, text)
    assert said[-1] == "19 problems: nothing was booked."
    fields = [(one.split(":")[0], one.split(": ", 1)[1].split()[0].rstrip(":")) for one in said[:-1]]
    assert sorted(fields) == sorted(
        [
            ("line 3", "side"),
            ("line 3", "tokens"),
            ("line 3", "sol"),
            ("line 3", "executed_at"),
            ("line 4", "tokens"),
            ("line 4", "sol"),
            ("line 4", "fee_sol"),
            ("line 4", "sol_usd"),
            ("line 4", "token_address"),
            ("line 5", "tokens"),
            ("line 5", "sol"),
            ("line 5", "executed_at"),
            ("line 6", "fee_sol"),
            ("line 6", "transaction_id"),
            ("line 6", "executed_at"),
            ("line 7", "tokens"),
            ("line 7", "sol"),
            ("line 7", "executed_at"),
            ("line 8", "2"),
        ]
    )
    sides = "purchase, sale, airdrop, transfer_in, transfer_out, migration, balance"
    assert f'line 3: side must be one of {sides}, not "gift"' in said
    assert "line 5: sol of an airdrop must be 0, not 1" in said
    assert "line 8: 2 cells, but 10 columns" in said


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([("sale", "1", "1", 0)], "line 2: tokens: 1 to sell, 0 held"),
        ([("purchase", "1", "1", 0), ("sale", "2", "1", 1)], "line 3: tokens: 2 to sell, 1 held"),
        ([("purchase", "1", "1", 1), ("sale", "1", "1", 0)], "line 3: tokens: 1 to sell, 0 held"),
        ([("purchase", "1", "1", 0), ("transfer_out", "2", "", 1)], "line 3: tokens: 2 to send, 1 held"),
    ],
)
def test_trades_that_cannot_have_been_are_refused_whole(wallet: Wallet, load: Imported, lines, problem: str):
    good = line(wallet, "purchase", "1", "1", token_address=BONK)
    text = file_of(*(line(wallet, side, tokens, sol, at=day(at)) for side, tokens, sol, at in lines), good)
    assert refused(load, text) == [problem, "1 problem: nothing was booked."]


def test_transaction_id_with_other_content_is_refused(wallet: Wallet, load: Imported):
    booked = line(wallet, "purchase", "10", "2", transaction_id="tx-1")
    load(file_of(booked), "--commit")
    cells: dict[str, Any] = {"side": "purchase", "tokens": "10", "sol": "2", "transaction_id": "tx-1"}
    changed: list[tuple[dict[str, Any], str]] = [
        ({"tokens": "11"}, "amount of tokens"),
        ({"sol": "3"}, "sum of SOL"),
        ({"side": "transfer_in"}, "side"),
        ({"at": day(1)}, f"executed_at, {LAST_YEAR.isoformat()}"),
        ({"token_address": JUP}, "token_address"),
    ]
    for changes, difference in changed:
        with pytest.raises(CommandError) as error:
            load(file_of(line(wallet, **(cells | changes))), "--commit")
        assert str(error.value).startswith(
            f"line 2: transaction_id: this wallet has booked it already, with another {difference}\n"
        )
    other = line(wallet, "purchase", "11", "2", transaction_id="tx-2")
    same = line(wallet, "purchase", "11.0", "2", transaction_id="tx-2")
    with pytest.raises(
        CommandError, match=r"^line 4: transaction_id: line 2 has it already, with other content"
    ):
        load(file_of(other, same, line(wallet, "purchase", "12", "2", transaction_id="tx-2")), "--commit")
    assert "already booked: 2" in load(file_of(other, same, booked), "--commit")


def test_trade_that_would_join_or_reopen_positions_is_refused(wallet: Wallet, load: Imported):
    load(
        file_of(
            line(wallet, "purchase", "10", "2", at=day(10)),
            line(wallet, "sale", "10", "2", at=day(20)),
            line(wallet, "purchase", "10", "2", at=day(30)),
        ),
        "--commit",
    )
    before = figures()
    for at, problem in (
        (day(0), "held from"),
        (day(15), "held from"),
        (day(25), None),
    ):
        text = file_of(line(wallet, "purchase", "1", "1", at=at))
        if problem is None:
            load(text)
            continue
        with pytest.raises(
            CommandError, match=rf"^line 2: executed_at: the tokens would be {problem} .* is missing"
        ):
            load(text, "--commit")
    assert figures() == before


def test_unknown_wallet_file_and_columns_are_named(wallet: Wallet, load: Imported, tmp_path: Path):
    unknown = Wallet(pk="Unknown1", address="Unknown1")
    assert refused(load, file_of(line(unknown, "purchase", "1", "1")))[0] == (
        "line 2: wallet: there is no wallet Unknown1"
    )
    assert refused(load, "wallet,wallet,cost\n") == [
        f"{COLUMNS_ARE_WRONG} (missing: executed_at, token_address, side, tokens, sol; unknown: 'cost'; twice: wallet)."
    ]
    assert refused(load, "") == [
        f"{COLUMNS_ARE_WRONG} (missing: executed_at, wallet, token_address, side, tokens, sol)."
    ]
    with pytest.raises(CommandError, match=r"cannot be read: No such file or directory\.$"):
        call_command("import_trades", str(tmp_path / "none.csv"))
    load.path.write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match=r"is not UTF-8 \(byte 0\)\.$"):
        call_command("import_trades", str(load.path))


# Exporting


def test_export_has_the_cost_and_the_gain_of_each_sale(history: None):
    partly, rest = (row for row in rows(exported()) if row["side"] == "sale")
    # 15.123456789 tokens cost 4 SOL, and 440 USD as it was.
    assert (partly["cost_sol"], partly["gain_sol"]) == ("1.851428572", "1.148571428")
    assert (partly["proceeds_usd"], rest["proceeds_usd"]) == ("450", "150")
    costs = [Decimal(row[name]) for name in ("cost_sol", "cost_usd") for row in (partly, rest)]
    assert (sum(costs[:2]), sum(costs[2:])) == (4, 440)
    for row in (partly, rest):
        assert Decimal(row["gain_usd"]) == Decimal(row["proceeds_usd"]) - Decimal(row["cost_usd"])


def test_export_of_a_year_and_a_wallet_counts_what_was_bought_before(
    history: None, wallet: Wallet, tmp_path: Path
):
    assert {row["executed_at"][:4] for row in rows(exported("--year", "2025"))} == {"2025"}
    [sent] = rows(exported("--year", "2026", "--wallet", wallet.pk))
    assert (sent["side"], sent["sol"], sent["gain_sol"]) == ("transfer_out", "0.3", "")
    path = tmp_path / "2026.csv"
    out = io.StringIO()
    call_command("export_trades", "--year", "2026", "--output", str(path), stdout=out)
    assert out.getvalue() == f"1 trades written to {path}.\n"
    assert rows(path.read_text()) == [sent]
    with pytest.raises(CommandError, match=r"cannot be written: File exists\.$"):
        call_command("export_trades", "--output", str(path))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--year", "99"], "--year must be from 2020 to 9998; it is 99."),
        (["--wallet", "Unknown1"], "There is no wallet Unknown1."),
    ],
)
def test_export_of_what_is_not_there_is_refused(options: list[str], problem: str):
    with pytest.raises(CommandError) as error:
        exported(*options)
    assert str(error.value) == problem
