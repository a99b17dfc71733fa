"""What others chose is harmless on a terminal: in what commands print, their errors, and log lines."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command, get_commands, load_command_class
from django.db import connection

from positions.books.terminal import printable
from positions.management.output import Command
from positions.models import Position
from realtime.monitoring.log_lines import JsonFormatter, TextFormatter
from tests.live import manage

# Clears the screen, sets the title, starts a sequence with one character, turns text around, overwrites the line.
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eevil\rOK\x00\u2066"
SHOWN = r"\x1b[2J\x1b]0;owned\x07\x9b31m\u202eevil\x0dOK\x00\u2066"
OURS = sorted(name for name, app in get_commands().items() if app in {"positions", "realtime"})


def test_text_is_shown_not_sent():
    assert printable(EVIL) == SHOWN
    assert printable("DezX…B263 \t👩‍🚀 日本\nnext") == "DezX…B263 \t👩‍🚀 日本\nnext"
    assert printable("\ud800\U000e0041") == r"\ud800\U000e0041"


@pytest.mark.parametrize("name", OURS)
def test_every_command_prints_through_it(name: str, capsys):
    command = load_command_class(get_commands()[name], name)
    assert isinstance(command, Command)
    command.stdout.write(EVIL)
    command.stderr.write(EVIL)
    command._called_from_command_line = True  # type: ignore[attr-defined]
    with pytest.raises(SystemExit):
        command.create_parser("manage.py", name).parse_args([f"--{EVIL}"])
    said = capsys.readouterr()
    assert (said.out, said.err.startswith(f"{SHOWN}\n")) == (f"{SHOWN}\n", True)
    assert "\x1b" not in said.err


def test_error_that_names_what_was_given_is_shown(tmp_path: Path, db, capsys):
    with pytest.raises(SystemExit):
        load_command_class("positions", "import_trades").run_from_argv(
            ["manage.py", "import_trades", f"{tmp_path}/{EVIL[:-2]}"]
        )
    assert "\\x1b[2J" in capsys.readouterr().err


def test_dump_that_cannot_be_loaded_is_shown(tmp_path: Path):
    (tmp_path / "dump.json").write_text(json.dumps([{"model": f"positions.{EVIL}", "pk": 1, "fields": {}}]))
    done = manage("loaddata", str(tmp_path / "dump.json"), DATABASE_URL=f"sqlite:///{tmp_path}/empty")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith(f"Invalid model identifier: positions.{SHOWN}\n")
    assert printable(done.stderr) == done.stderr


def test_name_of_a_restored_user_is_shown(db):
    name = EVIL.replace("\x00", "")
    User.objects.create(username=name)
    out, said = io.StringIO(), io.StringIO()
    call_command("issue_token", name, stdout=out, stderr=said)
    assert said.getvalue().startswith(f"A token of {SHOWN.replace(chr(92) + 'x00', '')}, until ")


def test_export_is_exact_in_a_file_and_shown_on_a_terminal(position: Position):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE positions_trade SET transaction_id = %s", ["\x1b[2J"])
    file = io.StringIO()
    call_command("export_trades", stdout=file)
    assert "\x1b[2J" in file.getvalue()
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    call_command("export_trades", stdout=terminal)
    assert terminal.getvalue() == file.getvalue().replace("\x1b", "\\x1b")


def test_log_lines_are_shown_and_one_line_each():
    record = logging.makeLogRecord(
        {"msg": "GET %s", "args": (f"/?{EVIL}\nWARNING forged",), "levelname": "INFO"}
    )
    assert (
        TextFormatter("{levelname} {message}", style="{").format(record)
        == f"INFO GET /?{SHOWN}\\x0aWARNING forged"
    )
    line = JsonFormatter().format(record)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202e\u2066]", line)
    assert json.loads(line)["message"] == f"GET /?{EVIL}\nWARNING forged"
