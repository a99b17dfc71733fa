"""Every statement of docs/security.md is shown by tests, or tests/security_claims.toml says why none can show it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest

from positions.accounts.logins import ADDRESS_FACTOR, LINE_FACTOR, NAME_FACTOR
from positions.api.json import MAX_BODY_BYTES
from positions.declared import Number
from positions.prices.http import MAX_BODY_BYTES as MAX_ANSWER_BYTES
from realtime.conf import RealtimeSettings
from tests.live import ROOT

PAGE = (ROOT / "docs/security.md").read_text()
CLAIMS: dict[str, dict[str, list[str] | str]] = tomllib.loads(
    (ROOT / "tests/security_claims.toml").read_text()
)
"""By heading, how each statement begins; then the tests that show it, or why there can be none."""


def statements(text: str) -> Iterator[tuple[str, str]]:
    """Yield heading and text of each sentence of a page, and of each row of a table, but for its head. Code is left
    out. A row is its cells with ` | ` between them."""
    heading, before = "", ""
    for block in re.split(r"\n\s*\n|\n(?=\s*[-|#])", text):
        line = block.strip()
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("|"):
            if before.startswith("|") and not set(line) <= set("|-"):
                yield heading, " | ".join(cell.strip() for cell in line.strip("|").split("|"))
        elif line and not line.startswith("#") and not block.strip("\n").startswith("    "):
            for sentence in re.split(
                r"(?<=[.?!])\s+(?=[A-Z0-9`])", " ".join(line.removeprefix("- ").split())
            ):
                yield heading, sentence
        before = line


STATEMENTS = list(statements(PAGE))


@cache
def names_of_tests(path: str) -> frozenset[str]:
    """Return the names of the tests in a file below tests/."""
    nodes = ast.walk(ast.parse((ROOT / "tests" / path).read_text()))
    functions = [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(name for name in functions if name.startswith("test_"))


def test_page_is_read_sentence_by_sentence_and_row_by_row():
    page = (
        "# A page\n\n## One\n\nIt is a.\nIs it b? `c` is, as e.g. d (e.\nf).\n- Item. Next\n  line.\n- Last:\n"
        "  | head | x |\n  |---|---|\n  | g | h. I |\n  ### More\n\n    code. More\n\n## Two\n\nEnd.\n"
    )
    found = ["It is a.", "Is it b?", "`c` is, as e.g. d (e. f).", "Item.", "Next line.", "Last:", "g | h. I"]
    assert list(statements(page)) == [*(("One", each) for each in found), ("Two", "End.")]


def test_every_statement_of_the_page_is_claimed_once():
    unclaimed = [
        f"{heading}: {text}"
        for heading, text in STATEMENTS
        if sum(text.startswith(beginning) for beginning in CLAIMS.get(heading, ())) != 1
    ]
    assert not unclaimed, "name in tests/security_claims.toml, once, the tests that show it"


def test_every_claim_is_a_statement_of_the_page():
    found = Counter(
        (heading, beginning)
        for heading, beginnings in CLAIMS.items()
        for beginning in beginnings
        for where, text in STATEMENTS
        if where == heading and text.startswith(beginning)
    )
    claimed = [(heading, beginning) for heading, beginnings in CLAIMS.items() for beginning in beginnings]
    assert [each for each in claimed if found[each] != 1] == [], "the page says this no more, or twice"


@pytest.mark.parametrize("heading", CLAIMS)
def test_tests_that_show_a_claim_exist(heading: str):
    for beginning, shown in CLAIMS[heading].items():
        assert shown, f"{beginning}: name a test, or why there can be none"
        for each in [] if isinstance(shown, str) else shown:
            path, _, name = each.partition("::")
            assert (ROOT / "tests" / path).is_file(), f"{beginning}: tests/{path} does not exist"
            assert name in names_of_tests(path), f"{beginning}: tests/{path} has no {name}"


# Limits

IN_THE_PAGE: dict[str, dict[str, float]] = {
    "30 minutes; those of": {"ACCESS_TOKEN_MINUTES": 30},
    "refresh tokens (7 days)": {"REFRESH_TOKEN_DAYS": 7},
    "A check every 5 s": {"RECONCILE_SECONDS": 5},
    "10 for one name from one address lock": {"LOGIN_FAILURES": 10},
    "until 15 minutes after": {"LOGIN_LOCK_SECONDS": 15 * 60},
    "accept 120 requests a minute": {"TOKEN_REQUESTS_PER_MINUTE": 120},
    "30 days (`NEXGENT_SESSION_DAYS`)": {"SESSION_DAYS": 30},
    "`NEXGENT_JWT_LEEWAY_SECONDS` (10)": {"JWT_LEEWAY_SECONDS": 10},
    "once in 10 s, and when they are 5 minutes old": {"JWKS_RETRY_SECONDS": 10, "JWKS_MAX_AGE_SECONDS": 300},
    "within 15 s (`NEXGENT_SOCKET_TICKET_SECONDS`)": {"SOCKET_TICKET_SECONDS": 15},
    "| 1,000, 5,000, 10,000, 2,000 |": {
        "USER_AGENTS": 1_000,
        "USER_WALLETS": 5_000,
        "USER_POSITIONS": 10_000,
        "USER_TOKENS": 2_000,
    },
    "| 100 a second, 500 at once,": {"USER_REQUESTS_PER_SECOND": 100, "USER_REQUEST_BURST": 500},
    "| 20 a second, 200 at once; of one /48 four times that |": {
        "ADDRESS_REQUESTS_PER_SECOND": 20,
        "ADDRESS_REQUEST_BURST": 200,
    },
    "| 1,000; 50 a second and process, 1,000 at once |": {
        "USER_SOCKETS": 1_000,
        "USER_CONNECTS_PER_SECOND": 50,
        "USER_CONNECT_BURST": 1_000,
    },
    "of these 10 that watch the same agent": {"AGENT_WATCHERS": 10},
    "more than 10 ms of CPU time": {"REQUEST_CPU_SECONDS": 0.01},
    "16 KiB, 10 a second, 40 at once": {
        "MAX_MESSAGE_BYTES": 16 * 1024,
        "INBOUND_MESSAGES_PER_SECOND": 10,
        "INBOUND_BURST": 40,
    },
    "200 a second, 2,000 at once, and 20,000 in all": {
        "CONNECTS_PER_SECOND": 200,
        "CONNECT_BURST": 2_000,
        "MAX_SOCKETS": 20_000,
    },
    "5 a second and 100 at once for one address, 50 a second and 1,000 at once for all": {
        "ADDRESS_CONNECTS_PER_SECOND": 5,
        "ADDRESS_CONNECT_BURST": 100,
        "STRANGER_CONNECTS_PER_SECOND": 50,
        "STRANGER_CONNECT_BURST": 1_000,
    },
    "1,000 messages or 4 MiB": {"MAX_UNSENT_EVENTS": 1_000, "MAX_UNSENT_BYTES": 4 * 2**20},
    "cut off after 10 s": {"CLOSE_SECONDS": 10},
    "64 MiB in a process; all users: 512 MiB": {
        "MAX_USER_UNSENT_BYTES": 64 * 2**20,
        "MAX_PROCESS_UNSENT_BYTES": 512 * 2**20,
    },
    "60,000 rows at once and 3,000 a second": {"USER_ROWS_BURST": 60_000, "USER_ROWS_PER_SECOND": 3_000},
    "closed after 10 s without a whole head": {"HEAD_SECONDS": 10},
    "2.5 MiB elsewhere, 30 s": {"MAX_BODY_BYTES": 2.5 * 2**20, "BODY_SECONDS": 30},
}
"""What the page says of settings, without `NEXGENT_`, that are not set."""
OF_CONSTANTS = (
    "50 from one address",
    "100 for one name, from anywhere",
    "(40 for one name, 200 in all)",
    "480 from one /48",
    "64 KiB below `/api/`",
    "time-outs, 16 MiB",
)
"""What it says of multiples of these, and of other limits."""


def defaults() -> dict[str, float]:
    """Return the number that each setting is without its variable, from the source: tests set some."""
    own = {
        setting.name: float(setting.default)
        for setting in RealtimeSettings.all()
        if isinstance(setting, Number)
    }
    source = "".join((ROOT / "nexgent" / name).read_text() for name in ("settings.py", "outside_issuer.py"))
    calls = re.findall(r'env\.\w+\(\s*"NEXGENT_(\w+)",\s*([\d_.]+)', source)
    return own | {name: float(text) for name, text in calls}


def test_default_limits_are_as_the_page_says():
    said = {name: number for numbers in IN_THE_PAGE.values() for name, number in numbers.items()}
    assert {name: defaults().get(name) for name in said} == said
    assert (ADDRESS_FACTOR, NAME_FACTOR, LINE_FACTOR) == (5, 10, 4)
    assert (MAX_BODY_BYTES, MAX_ANSWER_BYTES) == (64 * 2**10, 16 * 2**20)
    page = " ".join(PAGE.split())
    assert [words for words in [*IN_THE_PAGE, *OF_CONSTANTS] if page.count(words) != 1] == []
