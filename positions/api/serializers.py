"""The bodies of requests: which fields each has, and which of them must be given.

Names are camelCase in the body and snake_case for the services; an unknown name is an error: a typing mistake in
`stopLossPercentage` must not open a position without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from positions.api.errors import camel
from positions.api.fields import Address, Choice, Flag, Id, Moment, Number, Symbol, Text, Whole
from positions.books.accounting import ZERO
from positions.books.trades import OPENINGS, Side
from positions.models import LONGEST_ADDRESS, LONGEST_NOTE, Agent, Mode, Wallet, base58
from positions.services.take_profits import MOST_LEVELS


class Body(serializers.Serializer[Any]):
    """A JSON object of exactly the declared fields, in camelCase."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        given: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
        names = {camel(name): name for name, _ in self.fields.items()}
        errors: dict[str, Any] = {key: ["Unknown field."] for key in given if key not in names}
        values = {}
        try:
            values = super().run_validation(
                {names[key]: value for key, value in given.items() if key in names}
            )
        except ValidationError as error:
            details = error.detail
            errors |= (
                {camel(key): detail for key, detail in details.items()} if isinstance(details, dict) else {}
            )
        if errors:
            raise ValidationError(errors)
        return values

    @property
    def arguments(self) -> dict[str, Any]:
        """What was given, for a service to take. Null means not given, but in a field that must be given."""
        return {
            name: value
            for name, value in self.validated_data.items()
            if value is not None or self.fields[name].required
        }

    @property
    def content(self) -> dict[str, Any]:
        """What was given, whatever rows it names, by the names that the client used. Raises ValidationError."""
        fields = {camel(name): field for name, field in self.fields.items()}
        return {
            name: fields[name].run_validation(value)
            for name, value in self.initial_data.items()
            if value is not None and name in fields
        }

    @property
    def owner_id(self) -> Any:
        return self.context["request"].user.pk


TOKENS = "Less than 10^21; rounded to the decimals of the token's mint, 9 where they are not known."
SOL = "SOL, less than 10^11; rounded to the lamport."
PERCENT = "In percent of the average cost, from -100 to less than 100000; rounded to 4 decimals."


def transaction_id() -> Text:
    return Text(max_length=128, required=False, allow_null=True)


class TradeBody(Body):
    """The optional terms of every trade."""

    transaction_id = transaction_id()
    fee_sol = Number(required=False, allow_null=True, help_text="The part of the sum that was fees, in SOL.")
    executed_at = Moment(
        required=False,
        allow_null=True,
        help_text="Time of execution, by default now. May be earlier than trades that are already booked.",
    )
    sol_usd = Number(
        required=False,
        allow_null=True,
        help_text="SOL in USD then. By default the feed's, for a trade of the last five minutes.",
    )


class AgentBody(Body):
    name = Text(max_length=100)
    trading_mode = Choice(Mode.choices, required=False)


class WalletBody(Body):
    address = Address(max_length=LONGEST_ADDRESS, validators=[base58])
    agent_id = Id()
    kind = Choice(Mode.choices, default=Mode.SIMULATION)

    def validate_address(self, address: str) -> str:
        if Wallet.objects.filter(address=address, owner_id=self.owner_id).exists():
            raise ValidationError("You have a wallet with this address already.")
        return address

    def validate_agent_id(self, agent_id: UUID) -> UUID:
        if not Agent.objects.filter(pk=agent_id, owner_id=self.owner_id).exists():
            raise ValidationError("Agent not found.")
        return agent_id


def levels(lowest: int, help_text: str, **options: Any) -> Whole:
    return Whole(allow_null=True, help_text=f"{help_text} From {lowest} to {MOST_LEVELS}.", **options)


class OpenBody(TradeBody):
    wallet = Address()
    token_address = Address(max_length=64)
    token_symbol = Symbol(required=False, allow_null=True)
    tokens = Number(help_text=TOKENS)
    side = Choice(
        [side.value for side in OPENINGS],
        required=False,
        allow_null=True,
        help_text="How the tokens came; a purchase by default. An airdrop needs no `spentSol`.",
    )
    spent_sol = Number(required=False, allow_null=True, help_text=f"{SOL} Of a transfer, its cost.")
    stop_loss_percentage = Number(required=False, allow_null=True, help_text=PERCENT)
    take_profit_levels = levels(1, "The levels of its plan of take-profits; by default none.", required=False)

    def validate_wallet(self, address: str) -> Wallet:
        wallet = Wallet.objects.filter(address=address, owner_id=self.owner_id).first()
        if wallet is None:
            raise ValidationError("Wallet not found.")
        return wallet

    def run_validation(self, data: Any = serializers.empty) -> Any:
        is_airdrop = isinstance(data, Mapping) and data.get("side") == Side.AIRDROP
        self.fields["spent_sol"].required = not is_airdrop
        self.fields["spent_sol"].allow_null = is_airdrop
        return super().run_validation(data)

    def validate(self, attrs: Any) -> Any:
        spent_sol = attrs.get("spent_sol")
        side = Side(attrs.get("side") or Side.PURCHASE)
        return {**attrs, "side": side, "spent_sol": ZERO if spent_sol is None else spent_sol}


class BuyBody(TradeBody):
    tokens = Number(help_text=TOKENS)
    spent_sol = Number(help_text=SOL)
    take_profit_levels = levels(
        1, "Begins another plan of this many levels; by default the present one goes on.", required=False
    )


def held_amount() -> Number:
    return Number(
        required=False,
        allow_null=True,
        help_text="How much you have seen to be held: if it is another amount by now, 409, and nothing is sold.",
    )


def note() -> Text:
    return Text(
        required=False,
        allow_null=True,
        max_length=LONGEST_NOTE,
        help_text="Why, for the lists of events and trades. It is not sent to sockets.",
    )


class TakeProfitBody(TradeBody):
    tokens = Number(help_text=TOKENS)
    proceeds_sol = Number(required=False, allow_null=True, help_text=f"By default the market price's. {SOL}")
    held_amount = held_amount()
    moon_bag = Flag(required=False)
    levels = levels(
        0,
        "How many take-profit levels it hits, at most what the plan has left; by default one, if any is left.",
        required=False,
    )
    note = note()


class AirdropBody(TradeBody):
    tokens = Number(help_text=TOKENS)


class TransferInBody(TradeBody):
    tokens = Number(help_text=TOKENS)
    cost_sol = Number(help_text=f"Their original cost. {SOL}")


class TransferOutBody(TradeBody):
    tokens = Number(help_text=TOKENS)


class StopLossBody(Body):
    percentage = Number(allow_null=True, help_text=f"{PERCENT} null removes the stop loss.")
    peak_price = Number(required=False, allow_null=True)
    note = note()


class TakeProfitPlanBody(Body):
    levels = levels(1, "Begins a plan of this many levels with the next take-profit; null removes it.")


class MigrateBody(Body):
    token_address = Address(required=False, allow_null=True, max_length=64)
    token_symbol = Symbol(required=False, allow_null=True)
    ratio = Number(
        required=False, allow_null=True, help_text="How many new tokens each old one became; 1 by default."
    )
    transaction_id = transaction_id()


class CloseBody(TradeBody):
    proceeds_sol = Number(required=False, allow_null=True, help_text=SOL)
    reason = Text(required=False, allow_null=True, max_length=200)
    held_amount = held_amount()
