"""What one user may have, whichever way it is made, and however many at once; and that selling is never refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from positions.errors import PositionsError, QuotaReached
from positions.models import Agent, Position, Quota, Wallet
from positions.services import (
    buy_more,
    close_position,
    create_agent,
    create_wallet,
    open_position,
    take_profit,
)
from tests.conftest import BONK, JUP, WIF
from tests.positions.api.conftest import Api
from tests.positions.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 12


@pytest.fixture
def limit(settings: Any) -> Any:
    def set_limits(**limits: float) -> None:
        settings.NEXGENT = settings.NEXGENT | {
            f"USER_{name.upper()}": number for name, number in limits.items()
        }

    return set_limits


def mint(number: int) -> str:
    return f"Mint{chr(ord('a') + number % 8)}{'1' * (number // 8)}"


def buy(wallet: Wallet, token: str) -> Position:
    return open_position(wallet=wallet, token_address=token, tokens=Decimal(10), spent_sol=Decimal(1))


def outcome(function: Any) -> Any:
    def attempt() -> str:
        try:
            function()
        except QuotaReached:
            return "refused"
        return "made"

    return attempt


def test_agents_made_at_once_stay_within_the_quota(alice: User, limit: Any):
    limit(agents=5)
    made = at_once(*[outcome(lambda: create_agent(owner=alice, name="one")) for _ in range(AT_ONCE)])
    assert (made.count("made"), Agent.objects.filter(owner=alice).count()) == (5, 5)


def test_wallets_made_at_once_stay_within_the_quota(agent: Agent, limit: Any):
    limit(wallets=5)
    attempts = [
        outcome(lambda n=number: create_wallet(owner=agent.owner, agent_id=agent.pk, address=mint(n)))
        for number in range(AT_ONCE)
    ]
    assert at_once(*attempts).count("made") == 5 == Wallet.objects.count()


def test_positions_opened_at_once_by_several_agents_stay_within_the_quota(alice: User, limit: Any):
    limit(positions=5)
    wallets = [
        Wallet.objects.create(agent=Agent.objects.create(owner=alice, name="one"), address=mint(number))
        for number in range(4)
    ]
    attempts = [outcome(lambda n=number: buy(wallets[n % 4], mint(n))) for number in range(AT_ONCE)]
    assert at_once(*attempts).count("made") == 5 == Position.objects.open().count()


def test_tokens_are_counted_once_each_and_one_that_is_held_can_be_bought_elsewhere(
    agent: Agent, wallet: Wallet, bob: User, limit: Any
):
    limit(tokens=2)
    other = Wallet.objects.create(agent=agent, address="Other1")
    bobs = Wallet.objects.create(agent=Agent.objects.create(owner=bob, name="bob's"), address="Bobs1")
    buy(wallet, BONK)
    position = buy(wallet, WIF)
    with pytest.raises(
        QuotaReached, match=r"quota of tokens is reached: 2 of 2 are in use; sell all"
    ) as caught:
        buy(other, JUP)
    assert (caught.value.quota, caught.value.used, caught.value.limit) == ("tokens", 2, 2)
    buy(other, WIF)
    buy(bobs, JUP)  # another user's quota is its own
    close_position(position_id=position.pk, proceeds_sol=Decimal(1))
    with pytest.raises(QuotaReached):
        buy(wallet, JUP)  # WIF is still held elsewhere


def test_user_at_its_quotas_can_sell_close_and_buy_more_and_then_has_room(wallet: Wallet, limit: Any):
    first, second = buy(wallet, BONK), buy(wallet, WIF)
    limit(positions=1, tokens=1, agents=1, wallets=1)  # lowered below what is in use
    buy_more(position_id=first.pk, tokens=Decimal(1), spent_sol=Decimal(1))
    take_profit(position_id=first.pk, tokens=Decimal(1), proceeds_sol=Decimal(1))
    close_position(position_id=first.pk, proceeds_sol=Decimal(1))
    with pytest.raises(QuotaReached):
        buy(wallet, JUP)
    close_position(position_id=second.pk, proceeds_sol=Decimal(1))
    buy(wallet, JUP)


def test_user_s_own_quota_counts_instead_of_the_setting(alice: User, bob: User, limit: Any):
    limit(agents=1)
    create_agent(owner=alice, name="first")
    quota = Quota.objects.create(user=alice, agents=2)
    create_agent(owner=alice, name="second")
    with pytest.raises(QuotaReached, match="2 of 2"):
        create_agent(owner=alice, name="third")
    quota.agents = 0  # no limit
    quota.save()
    create_agent(owner=alice, name="third")
    create_agent(owner=bob, name="first")
    with pytest.raises(QuotaReached):
        create_agent(owner=bob, name="second")


def test_staff_have_the_quotas_of_everybody(admin_user: User, limit: Any):
    limit(agents=1)
    create_agent(owner=admin_user, name="first")
    with pytest.raises(QuotaReached, match="1 of 1"):
        create_agent(owner=admin_user, name="second")


def test_what_is_written_directly_is_not_refused_but_counts(alice: User, limit: Any):
    limit(agents=2)
    Agent.objects.bulk_create(Agent(owner=alice, name=f"agent {n}") for n in range(3))
    with pytest.raises(QuotaReached, match="3 of 2"):
        create_agent(owner=alice, name="one more")


def test_no_limit_refuses_nothing(alice: User, limit: Any):
    limit(agents=0, positions=0, tokens=0, wallets=0)
    agent = create_agent(owner=alice, name="one")
    buy(create_wallet(owner=agent.owner, agent_id=agent.pk, address="Wa11et"), BONK)


def test_dust_that_makes_room_for_a_purchase_does_not_count(wallet: Wallet, limit: Any):
    position = buy(wallet, BONK)
    Position.objects.filter(pk=position.pk).update(remaining_amount=Decimal("1e-18"))
    limit(positions=1)
    buy(wallet, BONK)


def test_rest_answers_429_with_the_quota_and_when_to_try_again(alice: User, wallet: Wallet, limit: Any):
    api = Api(alice)
    agent_id = str(wallet.agent_id)
    limit(agents=1, wallets=1, positions=1, tokens=1)
    buy(wallet, BONK)
    opening = {"wallet": wallet.address, "tokenAddress": WIF, "tokens": 1, "spentSol": 1}
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("agents/", {"name": "second"}, "agents"),
        ("wallets/", {"agentId": agent_id, "address": "Second1"}, "wallets"),
        ("positions/", opening, "positions"),
    ]
    for path, body, quota in refused:
        answer = api.request("POST", path, body)
        assert answer.status == 429
        assert f"quota of {quota} is reached: 1 of 1 are in use" in answer.data["detail"]
        assert int(answer.headers["Retry-After"]) > 0
    assert Agent.objects.count() == Wallet.objects.count() == Position.objects.count() == 1


def test_purchase_that_is_sent_again_is_answered_as_before_although_the_quota_is_reached(
    alice: User, wallet: Wallet, limit: Any
):
    api = Api(alice)
    limit(positions=1)
    opening = {
        "wallet": wallet.address,
        "tokenAddress": WIF,
        "tokens": 1,
        "spentSol": 1,
        "transactionId": "one",
    }
    first = api.request("POST", "positions/", opening, headers={"Idempotency-Key": "key"})
    again = api.request("POST", "positions/", opening, headers={"Idempotency-Key": "key"})
    and_again = api.request("POST", "positions/", opening)
    assert (first.status, again.text, and_again.text) == (201, first.text, first.text)


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def inlines(*wallets: str) -> dict[str, object]:
    rows = {f"wallets-{n}-address": address for n, address in enumerate(wallets)}
    kinds = {f"wallets-{n}-kind": "simulation" for n in range(len(wallets))}
    forms = {
        f"{name}-{field}": number
        for name, count in (("wallets", len(wallets)), ("positions", 0))
        for field, number in (("TOTAL_FORMS", count), ("INITIAL_FORMS", 0))
    }
    return {**rows, **kinds, **forms}


def test_admin_makes_no_agent_or_wallet_beyond_the_owner_s_quota(
    admin: Client, alice: User, bob: User, agent: Agent, limit: Any
):
    limit(agents=1, wallets=1)
    page = reverse("admin:positions_agent_add")
    form = {"name": "new", "trading_mode": "simulation"}
    refused = admin.post(page, {**form, "owner": alice.pk, **inlines()})
    assert "The quota of agents is reached: 1 of 1 are in use" in refused.content.decode()
    assert admin.post(page, {**form, "owner": bob.pk, **inlines("First1", "Two2")}).status_code == 200
    response = admin.post(page, {**form, "owner": bob.pk, **inlines("First1")})
    assert response.status_code == 302, response.context["errors"]
    wallet = {"address": "Two2", "agent": Agent.objects.get(owner=bob).pk, "kind": "simulation"}
    refused = admin.post(reverse("admin:positions_wallet_add"), wallet)
    assert "The quota of wallets is reached" in refused.content.decode()
    change = reverse("admin:positions_agent_change", args=[agent.pk])
    handed_over = admin.post(change, {**form, "owner": bob.pk, **inlines()})
    assert "The quota of agents is reached" in handed_over.content.decode()
    assert admin.post(change, {**form, "owner": alice.pk, **inlines()}).status_code == 302
    assert (Agent.objects.count(), Wallet.objects.count()) == (2, 1)


def test_quota_is_an_error_of_a_write_like_any_other(alice: User, limit: Any):
    """Code that handles the services' errors handles it, too."""
    limit(agents=1)
    create_agent(owner=alice, name="one")
    with pytest.raises(PositionsError):
        create_agent(owner=alice, name="two")
