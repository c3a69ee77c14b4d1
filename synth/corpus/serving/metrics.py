"""The figures of a server as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import Service


def metrics_text(service: Service, statuses: Mapping[int, int]) -> str:
    """Return all figures.

    Args:
        service: What is measured.
        statuses: Answers by HTTP status.
    """
    return "\n".join(_lines(service, statuses)) + "\n"


def _lines(service: Service, statuses: Mapping[int, int]) -> Iterator[str]:
    crew, store = service.crew, service.store
    yield "# HELP s5kit_requests_total Answers by status."
    yield "# TYPE s5kit_requests_total counter"
    for status, count in sorted(statuses.items()):
        yield f's5kit_requests_total{{status="{status}"}} {count}'
    counters = {
        "sent_bytes": ("Bytes of shards sent.", service.sent_bytes),
        "cache_hits": ("Shards asked for that were there.", store.figures.hits),
        "cache_joined": ("Shards asked for that were being made already.", store.figures.joined),
        "cache_misses": ("Shards asked for that were not there.", store.figures.misses),
        "cache_removed": ("Shards removed to make room.", store.figures.removed),
        "made_shards": ("Shards made.", crew.figures.made),
        "made_scenes": ("Scenes made.", crew.figures.scenes),
        "making_seconds": ("Time that making shards took, over all processes.", crew.figures.seconds),
        "failed_shards": ("Shards that could not be made.", crew.figures.failed),
        "replaced_processes": ("Processes that died or hung.", crew.figures.replaced),
    }
    for name, (text, value) in counters.items():
        yield from _figure(f"s5kit_{name}_total", "counter", text, value)
    gauges = {
        "cache_bytes": ("Bytes of the shards on disk.", store.bytes),
        "busy_processes": ("Shards being made.", crew.busy),
        "processes": ("Shards that can be made at once.", crew.workers),
        "waiting_shards": ("Shards that wait for a process.", crew.waiting),
    }
    for name, (text, value) in gauges.items():
        yield from _figure(f"s5kit_{name}", "gauge", text, value)


def _figure(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    yield f"{name} {value}"
