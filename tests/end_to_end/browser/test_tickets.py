"""The page's token is in no address: each of its sockets has a ticket, unless the server has none to give."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route

from positions.models import Position
from tests.end_to_end.browser.windows import Window

BUY = "**/api/socket-ticket/"
# A page does not use a ticket that is old. (Not by a route: then requests are heard of in any order.)
USABLE_FOR_LONG = """
    const text = Response.prototype.text;
    Response.prototype.text = async function () {
        return (await text.call(this)).replace(/(?<name>"expiresIn": ?)[0-9]+/, "$<name>600");
    };
"""


def watched(page: Page) -> tuple[list[dict[str, list[str]]], list[str]]:
    """Return lists to which the queries of the page's sockets, and the paths of its requests, will be added."""
    sockets: list[dict[str, list[str]]] = []
    requests: list[str] = []
    page.on("websocket", lambda socket: sockets.append(parse_qs(urlsplit(socket.url).query)))
    page.on("request", lambda request: requests.append(urlsplit(request.url).path))
    return sockets, requests


def test_every_socket_has_a_ticket_of_its_own(window: Window, bonk: Position) -> None:
    window.page.add_init_script(USABLE_FOR_LONG)
    sockets, requests = watched(window.page)
    window.log_in_by_form()
    window.expect_state("live")
    # Asked for before the agents, so that the socket did not wait for it.
    assert requests.count("/api/socket-ticket/") == 1
    assert requests.index("/api/socket-ticket/") < requests.index("/api/overview/")
    window.page.reload()
    window.expect_state("live")
    assert [sorted(socket) for socket in sockets] == [["agentId", "mode", "ticket"]] * 2
    assert sockets[0]["ticket"] != sockets[1]["ticket"]


@pytest.mark.parametrize("status", [404, 503])
def test_token_opens_the_socket_where_the_server_has_no_tickets(
    window: Window, bonk: Position, status: int
) -> None:
    """404: a server of the release before. 503: one without Redis or Valkey."""
    window.page.route(BUY, lambda route: route.fulfill(status=status, json={"detail": "none"}))
    sockets, _ = watched(window.page)
    window.log_in_by_form()
    window.expect_state("live")
    assert [sorted(socket) for socket in sockets] == [["agentId", "mode", "token"]]
    window.forgive_network_trouble()


def test_token_opens_the_socket_after_its_ticket_was_refused(window: Window, bonk: Position) -> None:
    """As one is that expired on its way, or that a process of the release before does not know."""

    def spoil(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "ticket": "ticket_of-no-use-to-anyone"})

    window.page.route(BUY, spoil)
    sockets, _ = watched(window.page)
    window.log_in_by_form()
    window.expect_state("live")
    assert [sorted(socket) for socket in sockets] == [
        ["agentId", "mode", "ticket"],
        ["agentId", "mode", "token"],
    ]
