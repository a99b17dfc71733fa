"""`/metrics`: the numbers of all processes, in Prometheus's text format or OpenMetrics.

Off until NEXGENT_METRICS_TOKEN is set: these figures are not public.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from itertools import accumulate

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector, CollectorRegistry

from positions import valkey
from positions.prices.cache import aget_feed_status
from realtime.conf import conf
from realtime.hub.hub import running_hub
from realtime.monitoring.metrics import BUCKETS, METRICS, PROCESS_METRICS, Sample
from realtime.monitoring.metrics_report import Reporter, Snapshot, snapshots

Families = dict[str, CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]


@require_safe
@never_cache
async def metrics(request: HttpRequest) -> HttpResponse:
    """Answer a request with the token. Three calls to Redis or Valkey; without it, the numbers of this process only."""
    if not conf.METRICS_TOKEN:
        raise Http404
    given = request.headers.get("Authorization", "")
    if not secrets.compare_digest(given.encode(), f"Bearer {conf.METRICS_TOKEN}".encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": 'Bearer realm="metrics"'})
    hub = running_hub()
    own = (hub.reporter if hub else Reporter("server")).snapshot()
    shared: dict[str, float] = {}
    known = {own.process: own}
    try:
        known = {each.process: each for each in await snapshots()} | known
        status = await aget_feed_status()
        shared["nexgent_valkey_up"] = 1
        if status is not None:
            shared["nexgent_price_feed_last_round_timestamp_seconds"] = status.updated_at.timestamp()
    except valkey.Unavailable:
        shared["nexgent_valkey_up"] = 0
    registry = CollectorRegistry()
    registry.register(_Collected(list(families(known.values(), shared).values())))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


class _Collected(Collector):
    """Gives the library what was collected before."""

    def __init__(self, collected: Iterable[Family]) -> None:
        self._collected = collected

    def collect(self) -> Iterator[Family]:
        yield from self._collected


def families(known: Iterable[Snapshot], shared: dict[str, float]) -> Families:
    """Return one family per metric. A metric that only a newer release knows is left out."""
    found: Families = {name: _family(name) for name in METRICS}
    for name, value in shared.items():
        _add(found[name], name, [], Sample([], value))
    for snapshot in known:
        for name, samples in snapshot.samples.items():
            for sample in samples if name in PROCESS_METRICS else ():
                _add(found[name], name, [snapshot.process], sample)
    return found


def _family(name: str) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    metric = METRICS[name]
    labels = ["process", *metric.labels] if name in PROCESS_METRICS else metric.labels
    match metric.kind:
        case "counter":
            return CounterMetricFamily(name, metric.help, labels=labels)
        case "gauge":
            return GaugeMetricFamily(name, metric.help, labels=labels)
        case "histogram":
            return HistogramMetricFamily(name, metric.help, labels=labels)


def _add(
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily,
    name: str,
    process: list[str],
    sample: Sample,
) -> None:
    labels = [*process, *sample.labels]
    if not isinstance(family, HistogramMetricFamily):
        family.add_metric(labels, sample.value)
    elif sample.buckets is not None and len(sample.buckets) == len(BUCKETS[name]) + 1:
        bounds = [*(str(float(bound)) for bound in BUCKETS[name]), "+Inf"]
        counted = list(zip(bounds, map(float, accumulate(sample.buckets)), strict=True))
        family.add_metric(labels, counted, sample.value)
