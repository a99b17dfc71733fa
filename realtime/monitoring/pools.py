"""What the pool of connections to PostgreSQL says of itself, as metrics of this process."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections

from realtime.monitoring.metrics import counts


def measure() -> None:
    """Read the pool's own counts. No query; nothing on SQLite, which has no pool."""
    connection = connections[DEFAULT_DB_ALIAS]
    pool = connection.pool if connection.vendor == "postgresql" else None  # type: ignore[attr-defined]
    if pool is None:
        return
    said = pool.get_stats()  # without what has not happened yet
    counts.gauges["nexgent_database_connections"] = said.get("pool_size", 0)
    counts.gauges["nexgent_database_connections_in_use"] = said.get("pool_size", 0) - said.get(
        "pool_available", 0
    )
    counts.gauges["nexgent_database_pool_waits"] = said.get("requests_queued", 0)
    counts.gauges["nexgent_database_pool_wait_seconds"] = said.get("requests_wait_ms", 0) / 1000
    counts.gauges["nexgent_database_pool_timeouts"] = said.get("requests_errors", 0)
