"""Forms that make agents and wallets: within their owner's quotas, whoever fills them in.

The admin validates and saves in one transaction, so what is counted here holds until it is saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet, ModelForm

from positions.errors import QuotaReached
from positions.models import Agent, Wallet
from positions.services.quotas import check

if TYPE_CHECKING:
    AgentModelForm = ModelForm[Agent]
    WalletModelForm = ModelForm[Wallet]
    WalletInlineFormSet = BaseInlineFormSet[Wallet, Agent, ModelForm[Wallet]]
else:
    AgentModelForm = WalletModelForm = ModelForm
    WalletInlineFormSet = BaseInlineFormSet


class AgentForm(AgentModelForm):
    """A new agent, or one that is handed to another user."""

    def clean(self) -> dict[str, Any] | None:
        data = super().clean()
        owner = self.cleaned_data.get("owner")
        if owner and (self.instance._state.adding or "owner" in self.changed_data):
            _lock(self.instance)
            _within(owner, "agents", 1, field="owner")
            if not self.instance._state.adding:
                _within(owner, "wallets", self.instance.wallets.count(), field="owner")
        return data


class WalletForm(WalletModelForm):
    def clean(self) -> dict[str, Any] | None:
        data = super().clean()
        agent = self.cleaned_data.get("agent")
        if agent and self.instance._state.adding:
            _lock(agent)
            _within(agent.owner, "wallets", 1, field="agent")
        return data


class WalletFormSet(WalletInlineFormSet):
    """The wallets of an agent's page."""

    def clean(self) -> None:
        super().clean()
        deleted = self.deleted_forms
        adding = len([form for form in self.extra_forms if form.has_changed() and form not in deleted])
        if adding and self.instance.owner_id:
            _lock(self.instance)
            _within(self.instance.owner, "wallets", adding)


def _lock(agent: Agent) -> None:
    """Lock the agent, if it is stored: before the user's row, as all do."""
    list(Agent.objects.select_for_update(no_key=True).filter(pk=agent.pk).order_by().values_list("pk"))


def _within(owner: Any, quota: str, adding: int, *, field: str | None = None) -> None:
    """Raises ValidationError."""
    try:
        check(owner, quota, adding)
    except QuotaReached as error:
        message = f"{error.message[:1].upper()}{error.message[1:]}."
        raise ValidationError({field: message} if field else message) from error
