"""Refuses writes of the ORM that no event would tell of.

`positions.models.recording` makes the events of what is written through Position, its subclasses, and querysets made
from PositionQuerySet. Other ways lead to the same rows: a queryset of another class, an unmanaged model of the same
table, a migration's models, `_raw_delete`. All of them end in a statement as the ORM spells it, so that is what the
guard looks at: a write that comes from elsewhere raises UnseenWrite before it is executed.

A migration's models pass while the table is not yet, or no longer, that of this release.

SQL written by hand passes (spelled otherwise, by `executemany`, or with no tuple of parameters, as compilers have it):
its author knows that it bypasses Django, and calls `recording.start_over` afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.transaction import Atomic, get_connection

from positions.errors import UnseenWrite

_passes: ContextVar[bool] = ContextVar("_passes", default=False)

_deleted: WeakKeyDictionary[Atomic, set[UUID]] = WeakKeyDictionary()
"""Positions whose deletion has been recorded, by the outermost block of the transaction."""

_rollbacks: WeakKeyDictionary[BaseDatabaseWrapper, int] = WeakKeyDictionary()


def rollbacks(using: str) -> int:
    """Return how many times this connection has gone back to a savepoint.

    Where `atomic` goes back, Django forgets what was to be done on commit; not after `transaction.savepoint_rollback`.
    """
    return _rollbacks.get(get_connection(using), 0)


@contextmanager
def unguarded() -> Iterator[None]:
    """Let every write pass. For code that makes the events itself, and for what no client sees."""
    token = _passes.set(True)
    try:
        yield
    finally:
        _passes.reset(token)


def expect_deletion(position_id: UUID, *, using: str) -> None:
    """Let this position be deleted in the current transaction."""
    _deleted.setdefault(get_connection(using).atomic_blocks[0], set()).add(position_id)


class WatchedModel(models.Model):
    """A model whose rows are written through `_write_row` wherever an instance of it, or of a subclass, is saved.

    Not through `save`, which fixtures bypass; nor by signals, which name one class and can be muted; nor through
    `save_base`, in which receivers of other apps write further rows.
    """

    class Meta:
        abstract = True

    def _save_table(
        self,
        raw: bool = False,
        cls: Any = None,
        force_insert: bool = False,
        force_update: bool = False,
        using: Any = None,
        update_fields: Any = None,
    ) -> bool:
        save: Any = super()._save_table  # type: ignore[misc]
        write = partial(save, raw, cls, force_insert, force_update, using, update_fields)
        if WatchedModel in cls.__bases__:
            return self._write_row(write, raw=raw, using=using)
        return bool(write())  # the own table of a multi-table child

    def _write_row(self, write: Callable[[], bool], *, raw: bool, using: str) -> bool:
        """Call `write`, which returns whether the row was there. `raw`: its values are a fixture's."""
        return write()


WRITES = ("INSERT", "UPDATE", "DELETE")
_OF_WALLET = re.compile(r'(?<!\.)"(?:agent_id|address|public_address)" = ')
"""What positions say of their wallet: whose it is, its key, and its address."""


class Guard:
    """Looks at every statement before it is executed: an execute wrapper of every connection.

    It costs a statement a comparison of six letters, and a write of these tables a match.
    """

    def __init__(self, position: Any, agent: Any, wallet: Any, trade: Any) -> None:
        self._models = {model._meta.db_table: model for model in (position, agent, wallet, trade)}
        self._position, self._agent, self._wallet, self._trade = self._models
        # As Django's compilers begin a statement. SQLite takes names in any case; a schema may stand before them.
        self._write = re.compile(
            rf'(INSERT|UPDATE|DELETE)(?: OR \w+)?(?: INTO| FROM)? (?:"\w+"\.)?"({"|".join(self._models)})"',
            re.IGNORECASE,
        )
        # Saving an agent writes the number that its row has.
        self._number = re.compile(rf'(?<!\.)"event_seq" = (?!"{self._agent}"\."event_seq"(,| WHERE|$))')

    def install(self) -> None:
        connection_created.connect(self._connected, weak=False)
        for connection in connections.all(initialized_only=True):
            self._connected(self, connection)

    def _connected(self, sender: object, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
        if not any(isinstance(wrapper, Guard) for wrapper in connection.execute_wrappers):
            connection.execute_wrappers.append(self)

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        verb = sql[:6] if type(sql) is str else ""
        if verb == "ROLLBA":
            connection = context["connection"]
            _rollbacks[connection] = _rollbacks.get(connection, 0) + 1
        elif verb in WRITES and type(params) is tuple and not many:
            match = self._write.match(sql)
            if match and not _passes.get():
                self._check(
                    match[1], match[2].lower(), sql, params, context["connection"], sql[match.end() :]
                )
        return execute(sql, params, many, context)

    def _check(
        self, verb: str, table: str, sql: str, params: Any, connection: BaseDatabaseWrapper, where: str
    ) -> None:
        """Raise UnseenWrite for a statement that changes more than was recorded. `where`: what follows the table."""
        if verb == "DELETE":
            outermost = connection.atomic_blocks[0] if connection.atomic_blocks else None
            deleted = _deleted.get(outermost, set()) if outermost else set()
            if table == self._position:
                is_refused = not params or any(_key(param) not in deleted for param in params)
            else:
                is_refused = (
                    table == self._trade and not self._positions_of(where, params, connection) <= deleted
                )
        elif table == self._agent:
            is_refused = bool(self._number.search(sql))
        elif table == self._wallet:
            is_refused = bool(_OF_WALLET.search(sql))
        else:
            is_refused = table == self._position or verb == "UPDATE" or " DO UPDATE " in sql
        if is_refused and self._is_of_this_release(table, connection):
            why = "booked trades are kept" if table == self._trade else "no event would tell clients of it"
            raise UnseenWrite(
                f"{verb} of {table} refused: {why}. Write through the models of positions.models or subclasses of them,"
                " with their querysets (docs/building-on-it.md#every-write-is-an-event)"
            )

    def _positions_of(self, where: str, params: Any, connection: BaseDatabaseWrapper) -> set[UUID | None]:
        """Return the positions of some trades: these go with their position, never alone."""
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT DISTINCT position_id FROM "{self._trade}"{where}', params)  # noqa: S608
            return {_key(position_id) for (position_id,) in cursor.fetchall()}

    def _is_of_this_release(self, table: str, connection: BaseDatabaseWrapper) -> bool:
        """Return whether the table has every column. Otherwise it is being migrated, and no server reads from it."""
        with connection.cursor() as cursor:
            found = {column.name for column in connection.introspection.get_table_description(cursor, table)}
        return found >= {field.column for field in self._models[table]._meta.concrete_fields}


def _key(param: object) -> UUID | None:
    try:
        return UUID(str(param))  # SQLite's parameter has no dashes
    except ValueError:
        return None
