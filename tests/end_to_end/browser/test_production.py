"""The page without debug mode: collected files with hashed names, the security headers, nothing inline."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable

from positions.models import Position
from tests.end_to_end.browser.windows import Window
from tests.live import PATIENCE_SECONDS, Server


def test_page_works_from_collected_files(
    open_window: Callable[..., Window], bonk: Position, production: Server
) -> None:
    window = open_window(server=production)
    loaded: list[str] = []
    window.page.on("requestfinished", lambda request: loaded.append(request.url.rpartition("/")[2]))
    window.log_in_by_form()
    window.expect_row(bonk, amount="1,000,000")
    (entry,) = [name for name in loaded if name.startswith("dashboard.") and name.endswith(".js")]
    assert len(entry.split(".")) == 3  # dashboard, its hash, js
    assert {"nexgent.js", "accounting.js", "store.js"} <= set(loaded)


def test_page_loads_nothing_from_other_origins(production: Server) -> None:
    with urllib.request.urlopen(production.url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
        policy, html = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
        "; trusted-types nexgent-offline"
    )
    assert "style=" not in html
    assert "<script>" not in html
    assert " on" not in "".join(part.partition(">")[0] for part in html.split("<"))  # no onclick and the like
