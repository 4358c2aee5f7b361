"""Ray: the one that runs, the one of ``RAY_ADDRESS``, or one that is started for this machine and stopped afterwards.
This is the only file that starts it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from isthmus.errors import MissingLibraryError

STORE_BYTES = 200_000_000
"""Shared memory of a Ray that is started here: what is large goes through files."""

LEAST = 2
"""CPUs: what holds all of them leaves none for what feeds it, and the work would wait for ever."""

SETTINGS = {
    # Ray tells its makers how it is used, unless told otherwise.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Workers are polite by default, so that on a busy machine they would hardly begin.
    "RAY_worker_niceness": "0",
    # With clusters switched off, Ray binds to loopback; an address given to ray.init is resolved to a public one.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
"""Of a Ray that is started here; read by Ray when it is imported."""


@contextmanager
def started(cpus: int | None) -> Iterator[Any]:
    """Ray, inside this context.

    Args:
        cpus: of one that is started here; None for those of the machine. It has two at least.

    Raises:
        MissingLibraryError: Ray is not installed.
    """
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise MissingLibraryError("Ray is not installed", remedy='pip install "isthmus[ray]"') from error
    own = not ray.is_initialized()
    if own and address:
        ray.init(log_to_driver=False)
    elif own:
        ray.init(
            address="local",
            num_cpus=max(LEAST, cpus or os.cpu_count() or LEAST),
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            log_to_driver=False,
        )
    try:
        yield ray
    finally:
        if own:
            ray.shutdown()
