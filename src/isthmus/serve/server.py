"""A server that runs until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from isthmus.errors import InputError
from isthmus.serve.app import Service, application
from isthmus.serve.gate import log, log_failure
from isthmus.serve.opened import Opened, Place
from isthmus.serve.settings import ServerSettings
from isthmus.serve.shelf import Shelf

CONNECTIONS = 2_000
"""Maximum number of simultaneous connections; further ones get status 503."""


def run(
    places: Sequence[Place],
    load: Callable[[Place], Opened],
    settings: ServerSettings,
    told: Callable[[str, Sequence[Opened]], None],
) -> None:
    """Serve bundles until SIGINT or SIGTERM; requests in progress are finished first. SIGHUP loads the bundles again.

    Args:
        places: names and paths of the bundles.
        load: loads one of them.
        settings: settings of the server.
        told: receives the address of the server and its models when it is about to start.

    Raises:
        IsthmusError: a bundle that cannot be loaded.
        InputError: the address is not one of this machine, or is in use.
    """
    with listening(settings) as listener:
        shelf = Shelf(places, load)
        serve_on(listener, shelf, settings, lambda: told(address(listener), list(shelf.models.values())))
    log("stopped")


def serve_on(
    listener: socket.socket,
    shelf: Shelf,
    settings: ServerSettings,
    ready: Callable[[], None],
    reloaded: Callable[[], None] = lambda: None,
) -> None:
    """Serve models on a socket until SIGINT or SIGTERM; requests in progress are finished first.

    Args:
        listener: the socket.
        shelf: the models.
        settings: settings of the server.
        ready: called when the server is about to start.
        reloaded: called when a request has made it load the bundles again.
    """
    app, service = application(shelf, settings, reloaded)
    service.after_loading = keep_out_of_collections
    keep_out_of_collections()
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=int(settings.patience),
    )
    with _without_default_signals():
        asyncio.run(_serve(uvicorn.Server(config), service, listener, ready))


async def _serve(server: uvicorn.Server, service: Service, listener: socket.socket, ready: Callable[[], None]) -> None:
    with _reload_on_hangup(service):
        ready()
        await server.serve(sockets=[listener])


def keep_out_of_collections() -> None:
    """Tell Python's garbage collector to leave alone what is loaded now. A full collection visits every object, such as
    the ids of a catalogue, and all requests would wait for it: 0.2 seconds for 100,000 items."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def listening(settings: ServerSettings) -> Iterator[socket.socket]:
    """A socket that listens, bound before bundles are loaded, so that a mistake is told at once.

    Raises:
        InputError: the address is not one of this machine, or is in use.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, OverflowError) as error:
        raise InputError(f"host {settings.host!r}: {error}", expected="a name or address of this machine") from None
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"port {settings.port} of {settings.host}: {reason}", remedy="take another one with --port"
            ) from None
        listener.set_inheritable(False)
        yield listener


def address(listener: socket.socket) -> str:
    """Where a browser finds the server."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.contextmanager
def _without_default_signals() -> Iterator[None]:
    """After an orderly end, the server raises the signal again that ended it: it has done its work."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def done(*_: Any) -> None:
        return None

    before = {one: signal.signal(one, done) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def _reload_on_hangup(service: Service) -> Iterator[None]:
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    loop, running = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    async def reload() -> None:
        try:
            await service.reload()
        except Exception as error:
            # What was served stays, and the reason is in the log.
            log_failure(error)

    def hung_up() -> None:
        task = loop.create_task(reload())
        running.add(task)
        task.add_done_callback(running.discard)

    try:
        loop.add_signal_handler(signal.SIGHUP, hung_up)
    except (ValueError, RuntimeError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
