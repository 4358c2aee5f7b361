"""Metrics of a server for Prometheus.

Where several processes answer at one port, the Prometheus client keeps their figures in files of a folder, and each
process tells the sums.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
TOGETHER = (1, 2, 4, 8, 16, 32, 64)

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder where the Prometheus client adds up the figures of several processes."""


class Metrics:
    """Counts of requests, their times and the sizes of batches, without any contents of requests."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "isthmus_requests", "Requests by path and status.", ("path", "status"), registry=registry
        )
        self._seconds = Histogram(
            "isthmus_request_seconds", "Time of a request.", ("path",), buckets=SECONDS, registry=registry
        )
        self._together = Histogram(
            "isthmus_answered_together", "Requests answered at once.", ("model",), buckets=TOGETHER, registry=registry
        )
        self._waiting = Gauge(
            "isthmus_waiting_requests",
            "Requests in the queue.",
            ("model",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._loaded = Gauge(
            "isthmus_loaded_timestamp_seconds",
            "When the models were loaded; with several workers, those that were loaded first.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._queues: dict[str, Callable[[], float]] = {}

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count one request.

        Args:
            path: label of the path.
            status: HTTP status.
            seconds: time from the first byte of the request to the last byte of the response.
        """
        self._measure_queues()
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def watcher(self, model: str) -> Callable[[int], None]:
        """A function that receives the size of each batch of requests to a model."""
        return cast(Callable[[int], None], self._together.labels(model).observe)

    def watch_queue(self, model: str, length: Callable[[], float]) -> None:
        """Read the length of a queue after each request and whenever the metrics are read."""
        self._queues[model] = length

    def loaded(self, when: float) -> None:
        """Record when the models were loaded, in seconds since 1970."""
        self._loaded.set(when)

    def text(self) -> bytes:
        """All metrics in the format of Prometheus; of all processes, if several answer at one port."""
        self._measure_queues()
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _measure_queues(self) -> None:
        for model, length in self._queues.items():
            self._waiting.labels(model).set(length())
