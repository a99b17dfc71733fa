"""What is counted, and under which name. Pure: knows neither Django nor Prometheus.

Numbers are plain attributes of one object per process, `counts`. Counting is an addition, which even a price that goes
to a thousand sockets can afford. They are read on demand: `metrics_report` writes them to Redis or Valkey,
`realtime.web.metrics_page` formats them for Prometheus, and a test compares docs/metrics.md with METRICS.
"""

from __future__ import annotations

import resource
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from msgspec import Struct

from positions.books.quotes import PriceStatus

if TYPE_CHECKING:
    from positions.history.recorder import Written
    from positions.prices.rounds import Round
    from realtime.protocol.messages import Close


class Metric(NamedTuple):
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    """In addition to `process`, which all of PROCESS_METRICS have."""


EVENT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROUND_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0)

PROCESS_METRICS = {
    "nexgent_sockets": Metric("gauge", "Open sockets."),
    "nexgent_watchers": Metric("gauge", "Those of them that watch their agent."),
    "nexgent_connects": Metric("counter", "Accepted sockets, including refused ones."),
    "nexgent_closes": Metric("counter", "Ended sockets.", ("code", "reason")),
    "nexgent_refusals": Metric("counter", "Sockets, requests and writes refused at a bound.", ("bound",)),
    "nexgent_messages_sent": Metric("counter", "Messages to clients.", ("type",)),
    "nexgent_bytes_sent": Metric(
        "counter", "Bytes of messages to clients, before compression and framing.", ("content",)
    ),
    "nexgent_messages_received": Metric("counter", "Messages from clients.", ("type",)),
    "nexgent_event_to_socket_seconds": Metric(
        "histogram", "From the change of a position until its event is handed to the socket."
    ),
    "nexgent_outbox_messages": Metric("gauge", "Messages queued for clients that do not read."),
    "nexgent_outbox_bytes": Metric("gauge", "What unsent messages take in memory, without prices."),
    "nexgent_outbox_deepest": Metric("gauge", "The longest such queue."),
    "nexgent_slow_sockets": Metric("gauge", "Sockets with a message in flight that the client has not read."),
    "nexgent_conflated_prices": Metric("counter", "Prices that a slow socket skipped for a newer one."),
    "nexgent_gaps_filled": Metric("counter", "Times that missing events were read from the database."),
    "nexgent_gap_events": Metric("counter", "Events read that way."),
    "nexgent_resumes": Metric("counter", "Streams requested with lastSeq.", ("outcome",)),
    "nexgent_channel_layer_errors": Metric("counter", "Failures of the channel layer.", ("direction",)),
    "nexgent_channel_layer_bytes": Metric(
        "counter", "Bytes of messages that other processes sent to this one.", ("content",)
    ),
    "nexgent_price_shards": Metric(
        "gauge", "In how many shards the price feed sends, as this process knows."
    ),
    "nexgent_price_shards_joined": Metric("gauge", "Of how many of them this process receives the prices."),
    "nexgent_event_loop_lag_seconds": Metric("gauge", "How late the event loop was at the last heartbeat."),
    "nexgent_http_request_seconds": Metric("histogram", "Until the answer to a request begins.", ("status",)),
    "nexgent_database_connections": Metric("gauge", "Connections to PostgreSQL of the process's pool."),
    "nexgent_database_connections_in_use": Metric("gauge", "Those of them that are in use."),
    "nexgent_database_pool_waits": Metric("counter", "Queries that waited for a connection."),
    "nexgent_database_pool_wait_seconds": Metric("counter", "How long they waited."),
    "nexgent_database_pool_timeouts": Metric("counter", "Queries that got no connection in time."),
    "nexgent_price_rounds": Metric("counter", "Rounds of prices.", ("source", "outcome")),
    "nexgent_price_round_seconds": Metric("histogram", "How long a round of prices took."),
    "nexgent_price_source_errors": Metric("counter", "Failures of a price source.", ("source",)),
    "nexgent_price_changes": Metric("counter", "Prices sent to the servers."),
    "nexgent_price_tokens": Metric("gauge", "Tokens of open positions, at the last round."),
    "nexgent_price_asks": Metric("counter", "Tokens that the source was asked for, once for each round."),
    "nexgent_price_tokens_waiting": Metric(
        "gauge", "Tokens that the source is asked for less often, since its answers lack them."
    ),
    "nexgent_price_tokens_priced": Metric("gauge", "Those of them that the source priced."),
    "nexgent_price_tokens_by_status": Metric(
        "gauge", "Tokens of open positions, by their price's status.", ("status",)
    ),
    "nexgent_price_oldest_age_seconds": Metric("gauge", "Age of the oldest price among them."),
    "nexgent_history_rows": Metric("counter", "Rows of history.", ("change",)),
    "nexgent_history_write_seconds": Metric("histogram", "How long a write of history took."),
    "nexgent_history_lag_seconds": Metric(
        "gauge", "Age of the oldest minute of history that is not written."
    ),
    "nexgent_history_errors": Metric("counter", "Writes of history that failed."),
    "nexgent_process_start_time_seconds": Metric("gauge", "When the process started, Unix time.", ("kind",)),
    "nexgent_process_cpu_seconds": Metric("counter", "CPU time, user and system."),
    "nexgent_process_peak_resident_bytes": Metric("gauge", "Peak resident memory."),
}
# Not of one process.
SHARED_METRICS = {
    "nexgent_valkey_up": Metric("gauge", "1 if Redis or Valkey answers the process that is asked, else 0."),
    "nexgent_price_feed_last_round_timestamp_seconds": Metric(
        "gauge", "When the last round of prices ended, Unix time; missing if none has within a day."
    ),
}
METRICS = PROCESS_METRICS | SHARED_METRICS


class Sample(Struct, array_like=True):
    """One number and the values of its labels; for a histogram the sum, and the count of each bucket."""

    labels: list[str]
    value: float
    buckets: list[int] | None = None


class Histogram:
    """How many observations are in each bucket, and the sum of all."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.total = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        self.total += value
        self._counts[bisect_left(self.bounds, value)] += 1

    def sample(self, *labels: str) -> Sample:
        return Sample(list(labels), self.total, list(self._counts))


class Counts:
    """This process's numbers since its start."""

    def __init__(self) -> None:
        self.started_at = time.time()
        self.connects = 0
        self.price_batches = 0
        self.compact_batches = 0
        self.price_bytes = 0
        self.compact_bytes = 0
        self.other_bytes = 0
        self.conflated_prices = 0
        self.gaps_filled = 0
        self.gap_events = 0
        self.price_changes = 0
        self.price_asks = 0
        self.sent: Counter[str] = Counter()
        """By type, without those with prices."""
        self.received: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        """By the bound that was reached."""
        self.resumes: Counter[str] = Counter()
        self.channel_layer_errors: Counter[str] = Counter()
        self.layer_bytes: Counter[str] = Counter()
        """Received from the channel layer, by content."""
        self.closes: Counter[tuple[str, str]] = Counter()
        self.price_rounds: Counter[tuple[str, str]] = Counter()
        self.price_source_errors: Counter[str] = Counter()
        self.price_statuses: Mapping[str, int] = {}
        """Of the last round: how many tokens have a price of each status."""
        self.event_seconds = Histogram(EVENT_BUCKETS)
        self.http_seconds: dict[str, Histogram] = {}
        """By status."""
        self.round_seconds = Histogram(ROUND_BUCKETS)
        self.history_rows: Counter[str] = Counter()
        self.history_seconds = Histogram(ROUND_BUCKETS)
        self.history_errors = 0
        self.gauges: dict[str, float] = {}
        """The latest measured values, by metric."""

    def http(self, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.http_seconds.setdefault(str(status), Histogram(EVENT_BUCKETS)).observe(seconds)

    def close(self, close: Close | None, client_code: int | None) -> tuple[int, str]:
        """Count the end of a socket, by the server (`close`) or the client; return code and reason."""
        code, reason = client_code or 1006, "Closed by the client"
        if close is not None and close.reason:
            code, reason = close.code, close.reason
        elif code == 1006:
            reason = "Connection lost"
        # A client may send any of four thousand codes: as labels, they would be unbounded.
        label = str(code) if code in {1000, 1001, 1005, 1006, 1008, 1009, 1011, 1012, 1013} else "other"
        self.closes[label, reason] += 1
        return code, reason

    def round(self, source: str, result: Round) -> None:
        """Count a round of prices."""
        self.price_rounds[source, "errors" if result.errors else "ok"] += 1
        self.price_source_errors[source] += result.source_errors
        self.price_changes += result.changed
        self.price_asks += result.tokens if result.asked is None else result.asked
        self.round_seconds.observe(result.seconds)
        self.gauges["nexgent_price_tokens"] = result.tokens
        self.gauges["nexgent_price_tokens_waiting"] = result.waiting
        self.gauges["nexgent_price_tokens_priced"] = result.priced
        # Each of them, so that one that no token has any more falls to 0.
        self.price_statuses = {status: result.statuses.get(status, 0) for status in get_args(PriceStatus)}
        self.gauges.pop("nexgent_price_oldest_age_seconds", None)
        if result.oldest_age_seconds is not None:
            self.gauges["nexgent_price_oldest_age_seconds"] = result.oldest_age_seconds

    def history(self, result: Written) -> None:
        """Count a write of history."""
        self.history_rows["written"] += result.rows
        self.history_rows["points"] += result.points
        self.history_rows["followed"] += result.followed
        self.history_rows["pruned"] += result.pruned
        self.history_errors += result.error is not None
        self.history_seconds.observe(result.seconds)
        self.gauges["nexgent_history_lag_seconds"] = result.lag_seconds

    def read(self, kind: str) -> dict[str, list[Sample]]:
        """Return the samples of this process by metric; a metric without a value is left out."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # getrusage(2): KiB on Linux
        samples = {
            "nexgent_process_start_time_seconds": [Sample([kind], self.started_at)],
            "nexgent_process_cpu_seconds": [Sample([], usage.ru_utime + usage.ru_stime)],
            "nexgent_process_peak_resident_bytes": [Sample([], peak_bytes)],
            "nexgent_channel_layer_errors": _labelled(self.channel_layer_errors.items()),
            **{name: [Sample([], value)] for name, value in self.gauges.items()},
        }
        return samples | (self._of_feed() if kind == "prices" else self._of_sockets())

    def _of_sockets(self) -> dict[str, list[Sample]]:
        batches = [("price_update_batch", self.price_batches), ("prices", self.compact_batches)]
        sent = [*self.sent.items(), *batches]
        size = {"prices": self.price_bytes, "compact prices": self.compact_bytes, "other": self.other_bytes}
        return {
            "nexgent_connects": [Sample([], self.connects)],
            "nexgent_closes": _labelled(self.closes.items()),
            "nexgent_refusals": _labelled(self.refusals.items()),
            "nexgent_messages_sent": _labelled(sent),
            "nexgent_bytes_sent": _labelled(size.items()),
            "nexgent_messages_received": _labelled(self.received.items()),
            "nexgent_channel_layer_bytes": _labelled(self.layer_bytes.items()),
            "nexgent_event_to_socket_seconds": [self.event_seconds.sample()],
            "nexgent_http_request_seconds": [
                histogram.sample(status) for status, histogram in list(self.http_seconds.items())
            ],
            "nexgent_conflated_prices": [Sample([], self.conflated_prices)],
            "nexgent_gaps_filled": [Sample([], self.gaps_filled)],
            "nexgent_gap_events": [Sample([], self.gap_events)],
            "nexgent_resumes": _labelled(self.resumes.items()),
        }

    def _of_feed(self) -> dict[str, list[Sample]]:
        return {
            "nexgent_price_rounds": _labelled(self.price_rounds.items()),
            "nexgent_price_round_seconds": [self.round_seconds.sample()],
            "nexgent_price_source_errors": _labelled(self.price_source_errors.items()),
            "nexgent_price_changes": [Sample([], self.price_changes)],
            "nexgent_price_asks": [Sample([], self.price_asks)],
            "nexgent_price_tokens_by_status": _labelled(self.price_statuses.items()),
            "nexgent_history_rows": _labelled(self.history_rows.items()),
            "nexgent_history_write_seconds": [self.history_seconds.sample()],
            "nexgent_history_errors": [Sample([], self.history_errors)],
        }


counts = Counts()
BUCKETS = {
    "nexgent_event_to_socket_seconds": EVENT_BUCKETS,
    "nexgent_http_request_seconds": EVENT_BUCKETS,
    "nexgent_price_round_seconds": ROUND_BUCKETS,
    "nexgent_history_write_seconds": ROUND_BUCKETS,
}


def seconds_since(created_at: str) -> float:
    """Return the age, in seconds, of an ISO 8601 time; 0 where another machine's clock is ahead."""
    return max(0.0, time.time() - datetime.fromisoformat(created_at).timestamp())


def _labelled(items: Iterable[tuple[str | tuple[str, ...], int]]) -> list[Sample]:
    return [
        Sample([labels] if isinstance(labels, str) else list(labels), value) for labels, value in list(items)
    ]
