from __future__ import annotations

from django.contrib.auth.models import User
from playwright.sync_api import expect

from positions.models import Agent, Position
from tests.end_to_end.browser.windows import HeldRequests, Window


def test_log_in_with_a_wrong_password_says_so_and_stays(window: Window, alice: User) -> None:
    window.log_in_by_form(password="wrong")
    expect(window.by_id("login-error")).to_have_text("Wrong user name or password.")
    expect(window.by_id("board")).to_be_hidden()
    expect(window.by_id("password")).to_be_focused()
    assert window.sockets == 0
    window.forgive_network_trouble()


def test_log_in_with_one_agent_shows_it_at_once(window: Window, bonk: Position) -> None:
    window.log_in_by_form()
    window.expect_state("live")
    expect(window.by_id("agent")).to_have_value(str(bonk.agent_id))
    expect(window.rows()).to_have_count(1)
    expect(window.page).to_have_title("0.00% · alpha · Nexgent")
    expect(window.by_id("user")).to_have_text("alice")
    expect(window.by_id("admin-link")).to_be_hidden()
    bonk.agent.owner.is_staff = True
    bonk.agent.owner.save()
    window.page.reload()
    expect(window.by_id("admin-link")).to_be_visible()


def test_log_in_without_agents_says_so(window: Window, bob: User, bonk: Position) -> None:
    window.log_in_by_form("bob")
    expect(window.by_id("no-agents")).to_contain_text("You have no agents yet")
    assert window.sockets == 0


def test_log_out_closes_the_socket_and_forgets_the_user(window: Window, bonk: Position) -> None:
    window.log_in_by_form()
    window.expect_state("live")
    with window.socket.expect_event("close"):
        window.by_id("log-out").click()
    expect(window.by_id("login")).to_be_visible()
    window.page.reload()
    expect(window.by_id("login")).to_be_visible()
    assert window.page.evaluate("sessionStorage.length") == 0
    assert window.page.evaluate("JSON.stringify(localStorage)").count("eyJ") == 0  # no token, in any disguise


def test_log_out_ends_the_other_tabs_of_the_session(window: Window, bonk: Position, alice: User) -> None:
    other = Agent.objects.create(owner=alice, name="beta")
    window.log_in_by_form()
    window.choose("alpha (simulation)")
    window.expect_state("live")
    tab = Window(window.page.context.new_page(), window.url)
    tab.page.goto(tab.url)  # logged in already: the cookie is there
    tab.choose("beta (simulation)")
    tab.expect_state("live")
    expect(tab.by_id("agent")).to_have_value(str(other.pk))
    window.by_id("log-out").click()
    expect(tab.by_id("login-error")).to_have_text("Your session has ended. Please log in again.")
    expect(tab.rows()).to_have_count(0)
    tab.forgive_network_trouble()
    assert tab.errors == []


def test_log_out_that_does_not_reach_the_server_says_so(window: Window, bonk: Position) -> None:
    window.log_in_by_form()
    window.expect_state("live")
    window.page.route("**/api/session/", lambda route: route.abort())
    window.by_id("log-out").click()
    expect(window.by_id("login-error")).to_contain_text("the server could not be notified")
    window.forgive_network_trouble()


def test_session_that_ended_on_the_server_asks_to_log_in_again(
    window: Window, bonk: Position, alice: User
) -> None:
    window.log_in_by_form()
    window.expect_state("live")
    alice.is_active = False
    alice.save()
    window.page.reload()
    expect(window.by_id("login-error")).to_have_text("Your session has ended. Please log in again.")
    window.forgive_network_trouble()


def test_session_that_ended_says_so_after_a_reload_too(window: Window, bonk: Position, alice: User) -> None:
    """The answer to the first page clears the cookie: to the second, the server says there is no session."""
    window.log_in_by_form()
    window.expect_state("live")
    alice.is_active = False
    alice.save()
    expect(window.by_id("login-error")).to_have_text("Your session has ended. Please log in again.")
    window.page.reload()
    expect(window.by_id("login-error")).to_have_text("Your session has ended. Please log in again.")
    window.forgive_network_trouble()


def test_log_out_says_nothing_of_an_ended_session_after_a_reload(window: Window, bonk: Position) -> None:
    window.log_in_by_form()
    window.expect_state("live")
    window.by_id("log-out").click()
    expect(window.by_id("login")).to_be_visible()
    window.page.reload()
    expect(window.by_id("login")).to_be_visible()
    expect(window.by_id("login-error")).to_be_hidden()


def test_agent_handed_over_shows_the_error_and_the_agents_left(
    window: Window, bonk: Position, alice: User
) -> None:
    """The page still lists the agent; its socket answers 'Agent not found'."""
    Agent.objects.create(owner=alice, name="beta")
    window.log_in_by_form()
    window.choose("beta (simulation)")
    expect(window.by_id("empty")).to_be_visible()
    held = HeldRequests(window.page, "**/api/overview/")  # which would tell the page
    bonk.agent.owner = User.objects.create_user("carol")
    bonk.agent.save()
    window.choose("alpha (simulation)")
    expect(window.by_id("error")).to_contain_text("The server says: Agent not found.")
    held.release()
    expect(window.by_id("agent").locator("option")).to_have_text(["All agents", "beta (simulation)"])
    expect(window.rows()).to_have_count(0)
