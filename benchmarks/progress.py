"""The progress of a long training, in lines of the log."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping

EVERY = 60.0
"""Seconds between two lines."""

logger = logging.getLogger(__name__)


class Said:
    """Progress in lines of the log: now and then within an epoch, and at its end."""

    def __init__(self, rows: str = "texts") -> None:
        self.what = rows

    def start(self, epochs: int, rows: int, metric: str | None, first: int = 0) -> None:
        self.rows, self.done, self.began, self.last = rows, 0, time.perf_counter(), time.perf_counter()
        logger.info("epochs %d to %d of %s %s", first + 1, epochs, f"{rows:,}", self.what)

    def step(self, rows: int, loss: float) -> None:
        self.done += rows
        if time.perf_counter() - self.last > EVERY:
            self.last = time.perf_counter()
            logger.info(
                "%.2f epochs, %.0f %s a second, loss %.3f nats each",
                self.done / self.rows,
                self.done / (self.last - self.began),
                self.what,
                loss,
            )

    def epoch(self, record: Mapping[str, float | int | str]) -> None:
        logger.info("%s", json.dumps(dict(record)))

    def stop(self) -> None:
        pass
