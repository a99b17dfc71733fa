"""Agents and their wallets."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import F

from positions.errors import UnseenWrite
from positions.models.fields import SequenceField
from positions.models.guard import WatchedModel, unguarded
from positions.models.primary import PrimaryQuerySet

# Base58 has no 0, O, I and l, and is case-sensitive.
base58 = RegexValidator(
    r"^[1-9A-HJ-NP-Za-km-z]+\Z",
    "“%(value)s” is not a Solana address: base58 has no 0, O, I, l or other signs.",
    "base58",
)


LONGEST_ADDRESS = 64
LONGEST_KEY = 80
TAKEN = "This owner has a wallet with this address already."
ANOTHER = (
    "the address of a wallet is never changed: clients know it by that. Another address is another wallet"
)


class Mode(models.TextChoices):
    SIMULATION = "simulation"
    LIVE = "live"


class Agent(WatchedModel):
    """A trading bot. Its `event_seq` is the number of the last event of its positions."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="agents")
    name = models.CharField(max_length=100)
    trading_mode = models.CharField(max_length=10, choices=Mode, default=Mode.SIMULATION)
    event_seq = SequenceField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PrimaryQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        # Never violated. But as part of a unique index, `owner` is a key to PostgreSQL: its change waits for a wallet
        # that is being added, and the other way round (positions.models.owners).
        constraints = [models.UniqueConstraint(fields=["id", "owner"], name="agent_owner_is_a_key")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        own = Wallet.objects.filter(agent_id=self.pk).values("address")
        others = Wallet.objects.filter(owner_id=self.owner_id, address__in=own).exclude(agent_id=self.pk)
        if shared := others.order_by("address").values_list("address", flat=True).first():
            raise ValidationError({"owner": f"This user has a wallet with the address {shared} already."})

    def first_number(self) -> _LastNumber:
        """Return what a new row's `event_seq` is: events outlive their agent (docs/adr/0004), which may come back."""
        # A row copied from another's instance has none of its events.
        return _LastNumber(self.id, at_least=self.event_seq if self._state.adding else 0)

    def _write_row(self, write: Callable[[], bool], *, raw: bool, using: str) -> bool:
        if not raw:
            return write()
        # A fixture bypasses SequenceField: an old one must not set the counter back.
        with transaction.atomic(using=using, savepoint=False), unguarded():
            rows = Agent.objects.using(using).filter(pk=self.id).values_list("event_seq", flat=True)
            stored = rows.select_for_update(no_key=True).first() or 0
            self.event_seq = _LastNumber(self.id, at_least=max(self.event_seq, stored))
            existed = write()
            self.event_seq = rows.get()
            return existed


class _LastNumber(models.Expression):
    """The number of an agent's last event, but at least a given one. (By subqueries Django takes 0.3 ms for it.)"""

    output_field = models.BigIntegerField()

    def __init__(self, agent_id: Any, *, at_least: int) -> None:
        super().__init__()
        self._agent_id, self._at_least = agent_id, at_least

    def as_sql(self, compiler: Any, connection: Any, **kwargs: Any) -> tuple[str, tuple[Any, ...]]:
        agent = Agent._meta.get_field("events").field
        events = connection.ops.quote_name(agent.model._meta.db_table)
        known = (
            f"SELECT CAST(%s AS BIGINT) AS seq UNION ALL SELECT MAX(seq) FROM {events} WHERE agent_id = %s"  # noqa: S608
        )
        sql = f"(SELECT MAX(known.seq) FROM ({known}) AS known)"  # noqa: S608
        return sql, (self._at_least, agent.get_db_prep_value(self._agent_id, connection))


def address_of(key: str) -> str:
    """Return the address of the wallet with this key, which costs no query."""
    return key.partition(":")[0]


class WalletQuerySet(PrimaryQuerySet["Wallet"]):
    """Wallets. Their positions follow them to another agent, with an event for each."""

    def update(self, **kwargs: Any) -> int:
        if {"address", "key", "pk"} & kwargs.keys():
            raise UnseenWrite(ANOTHER)
        if self.query.is_sliced or not {"agent", "agent_id"} & kwargs.keys():
            return super().update(**kwargs)
        self._for_write = True
        with transaction.atomic(using=self.db, savepoint=False):
            keys = list(self.order_by().values_list("pk", flat=True))
            with unguarded():
                changed = super().update(**kwargs)
            _follow(keys, using=self.db)
        return changed

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Wallet], *args: Any, **kwargs: Any) -> list[Wallet]:
        self._for_write = True
        wallets = list(objs)
        for wallet in wallets:
            wallet.check_address()
        new = [wallet for wallet in wallets if not wallet.key]
        addresses = [wallet.address for wallet in new]
        taken = set(self.model.objects.using(self.db).filter(pk__in=addresses).values_list("pk", flat=True))
        for wallet in new:
            wallet.key = _key(wallet.address, taken=wallet.address in taken)
            taken.add(wallet.address)
        with transaction.atomic(using=self.db, savepoint=False):
            with unguarded():
                created = super().bulk_create(wallets, *args, **kwargs)
            # After a conflict of owner and address, the row has another key than the instance.
            rows = self.model.objects.using(self.db).filter(agent__in={wallet.agent_id for wallet in wallets})
            written = rows.filter(address__in=[wallet.address for wallet in wallets]).order_by()
            keys = {*(wallet.key for wallet in wallets), *written.values_list("key", flat=True)}
            _follow(keys, using=self.db)
        return created

    bulk_create.alters_data = True  # type: ignore[attr-defined]


class Wallet(WatchedModel):
    """An address at which an agent holds tokens.

    Each owner may have a wallet of the same address: nobody can take one away from another, or find out whether another
    has it. So the key is the address only if that was free; otherwise with something random behind it.
    """

    key = models.CharField(
        primary_key=True,
        default=None,
        blank=True,
        editable=False,
        max_length=LONGEST_KEY,
        db_column="address",
    )
    address = models.CharField(
        max_length=LONGEST_ADDRESS, validators=[base58], default="", db_default="", db_column="public_address"
    )
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="wallets")
    # Set by the database (positions.models.owners): an instance does not know it until it is read again.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        null=True,
        editable=False,
        db_index=False,
    )
    kind = models.CharField(max_length=10, choices=Mode, default=Mode.SIMULATION)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = WalletQuerySet.as_manager()

    class Meta:
        ordering = ["address", "key"]
        base_manager_name = "objects"
        constraints = [
            models.UniqueConstraint(fields=["owner", "address"], name="wallet_address_unique_per_owner")
        ]

    def __str__(self) -> str:
        return self.address

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.key:
            taken = Wallet.objects.using(kwargs.get("using")).filter(pk=self.address).exists()
            self.key = _key(self.address, taken=taken)
        super().save(*args, **kwargs)

    def clean(self) -> None:
        super().clean()
        if self.agent_id and self.address:
            own = Wallet.objects.filter(owner_id=self.agent.owner_id, address=self.address)
            if own.exclude(pk=self.pk).exists():
                raise ValidationError({"address": TAKEN})

    def check_address(self) -> None:
        """Raise UnseenWrite if the address is no longer that of the key."""
        if self.key and self.address and self.address != address_of(self.key):
            raise UnseenWrite(ANOTHER)

    def _write_row(self, write: Callable[[], bool], *, raw: bool, using: str) -> bool:
        self.check_address()
        with transaction.atomic(using=using, savepoint=False):
            with unguarded():
                existed = write()
            if existed:
                _follow([self.key], using=using)
        return existed


def _key(address: str, *, taken: bool) -> str:
    return f"{address}:{secrets.token_hex(4)}" if taken else address


def _follow(keys: Collection[str], *, using: str) -> None:
    """Hand the positions of these wallets to the wallets' agents. One query, and an update for each agent."""
    positions = Wallet._meta.get_field("positions").related_model._base_manager.using(using)
    # Not only those of the agent before: a position may have been handed over without its wallet.
    astray = positions.filter(wallet__in=list(keys)).exclude(agent=F("wallet__agent"))
    for agent_id in set(astray.order_by().values_list("wallet__agent", flat=True)):
        astray.filter(wallet__agent=agent_id).update(agent=agent_id)
