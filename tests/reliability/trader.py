"""The process that writes: `python -m tests.reliability.trader`, with commands on standard input.

One JSON object per line, in and out. It writes through the services, like a bot, and retries what the
database refuses. When it stops, it reports the database's content, with which clients are compared.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from queue import Empty, Queue
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexgent.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import DatabaseError, connection, transaction  # noqa: E402
from django.db.models import F  # noqa: E402

from positions import services  # noqa: E402
from positions.accounts.families import issue  # noqa: E402
from positions.books.snapshots import snapshot  # noqa: E402
from positions.deadlines import answers_within  # noqa: E402
from positions.models import Agent, Position, PositionEvent, Wallet  # noqa: E402
from realtime.publish.broadcast import flush  # noqa: E402

REPORT_SECONDS = 0.1
RETRY_SECONDS = 0.1
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ANSWER_SECONDS = 5.0
"""For the database, as in a server process: a query into a black hole ends, and is tried again."""


class ChangedMindError(Exception):
    """Rolls a transaction back, whose events must never be sent."""


class Trader:
    def __init__(self) -> None:
        self.rng = random.Random(7)  # noqa: S311
        self.wallets: dict[str, Wallet] = {}
        self.agents: list[str] = []
        self.tokens: list[str] = []
        self.transactions = 0
        self.rolled_back = 0
        self.failures: Counter[str] = Counter()

    # Commands

    def prepare(self, agents: int, tokens: int, positions: int) -> dict[str, Any]:
        """Make one user, their agents, and so many positions of each; return the agents and an access token."""
        user = User.objects.create(username=f"trader-{self.rng.random()}")
        self.tokens = ["".join(self.rng.choices(BASE58, k=44)) for _ in range(tokens)]
        for number in range(agents):
            agent = Agent.objects.create(owner=user, name=f"agent {number}")
            address = "".join(self.rng.choices(BASE58, k=44))
            self.wallets[str(agent.pk)] = Wallet.objects.create(agent=agent, address=address)
            self.agents.append(str(agent.pk))
            for token in self.rng.sample(self.tokens, positions):
                self._open(str(agent.pk), token)
        return {
            "agents": self.agents,
            "tokens": self.tokens,
            "access": str(issue(user, lifetime=timedelta(days=1))),
        }

    def database_state(self, since: dict[str, int]) -> dict[str, Any]:
        """Return, of each agent: its event number, the events after number `since`, and what it holds now."""
        flush(30.0)
        report: dict[str, Any] = {
            str(key): {"seq": seq, "events": [], "held": {}}
            for key, seq in Agent.objects.values_list("pk", "event_seq")
        }
        for agent_id, seq in since.items():
            for event in PositionEvent.objects.filter(agent_id=agent_id, seq__gt=seq).order_by("seq"):
                entry = [event.seq, event.event_type, str(event.position_id), event.position]
                report[agent_id]["events"].append(entry)
        for position in Position.objects.open():
            report[str(position.agent_id)]["held"][str(position.pk)] = snapshot(position)
        return report

    def limit_size(self, more_pages: int | None) -> None:
        """Let the SQLite file grow by no more than so many pages: beyond, "database or disk is full"."""
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA page_count")
            pages = 2**30 if more_pages is None else cursor.fetchone()[0] + more_pages
            cursor.execute(f"PRAGMA max_page_count = {pages}")

    # Writing

    def write(self) -> None:
        """One transaction, with as many attempts as it takes: refusals of the database are counted, and something else
        is tried."""
        try:
            self._transaction()
            self.transactions += 1
        except ChangedMindError:
            self.rolled_back += 1
        except Exception as error:  # the cluster judges them
            self.failures[f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"] += 1
            if not isinstance(error, DatabaseError):
                raise
            time.sleep(RETRY_SECONDS)  # as a bot does, instead of hammering a database that is down
            connection.close()

    def _transaction(self) -> None:
        # Some trade much more than others.
        agent_id = self.agents[int(len(self.agents) * self.rng.random() ** 2)]
        dice = self.rng.random()
        if dice < 0.4:
            self._one_change(agent_id)
        elif dice < 0.8:
            # One statement, an event for each of the agent's positions.
            Position.objects.open().filter(agent_id=agent_id).update(dca_count=F("dca_count") + 1)
        else:
            with transaction.atomic():
                for _ in range(3):
                    self._one_change(agent_id)
                if dice > 0.97:
                    raise ChangedMindError

    def _one_change(self, agent_id: str) -> None:
        held = list(Position.objects.open().filter(agent_id=agent_id))
        if not held:  # the database went away between a sale and the next purchase
            self._open(agent_id, self.rng.choice(self.tokens))
            return
        position = self.rng.choice(held)
        dice = self.rng.random()
        if dice < 0.5:
            amount = Decimal(self.rng.randint(1, 10**9)) / 10**6
            services.buy_more(position_id=position.pk, tokens=amount, spent_sol=Decimal("0.01"))
        elif dice < 0.75:
            services.move_stop_loss(position_id=position.pk, percentage=Decimal(self.rng.randint(-90, 90)))
        elif dice < 0.9:
            left = Position.objects.values_list("remaining_amount", flat=True).get(pk=position.pk)
            sold = (left / 4).quantize(Decimal("0.000001"))
            services.take_profit(position_id=position.pk, tokens=sold or left, proceeds_sol=Decimal("0.02"))
        else:
            services.close_position(position_id=position.pk, proceeds_sol=Decimal("0.5"))
            self._open(agent_id, position.token_address)

    def _open(self, agent_id: str, token: str) -> None:
        services.open_position(
            wallet=self.wallets[agent_id],
            token_address=token,
            token_symbol=token[:5],
            tokens=Decimal(1000),
            spent_sol=Decimal(1),
        )


def main() -> None:
    commands: Queue[dict[str, Any] | None] = Queue()
    output = threading.Lock()

    def say(**message: Any) -> None:
        with output:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    def listen() -> None:
        for line in sys.stdin:
            commands.put(json.loads(line))
        commands.put(None)  # the parent is gone

    answers_within(ANSWER_SECONDS)
    threading.Thread(target=listen, daemon=True).start()
    trader = Trader()
    per_second = 0.0
    due = reported = time.monotonic()
    while True:
        try:
            command = commands.get(timeout=None if not per_second else max(0.0, due - time.monotonic()))
        except Empty:
            trader.write()
            due = max(due + 1 / per_second, time.monotonic() - 1.0)
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                say(transactions=trader.transactions, failures=trader.failures)
            continue
        if command is None:
            break
        kind = command.pop("do")
        if kind == "prepare":
            say(answer=trader.prepare(**command))
        elif kind == "write":
            per_second, due = command["per_second"], time.monotonic()
        elif kind == "limit_size":
            trader.limit_size(command["more_pages"])
        elif kind == "stop":
            per_second = 0.0
            rolled_back, failures = trader.rolled_back, dict(trader.failures)
            trader.failures.clear()
            say(answer={"rolled_back": rolled_back, "failures": failures})
        elif kind == "database_state":
            say(answer=trader.database_state(command["since"]))


if __name__ == "__main__":
    main()
