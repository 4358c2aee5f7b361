"""Checks and records every request: the host name, the token, the log and the metrics.

A web page can make a browser send requests to this machine, also under its own host name that resolves to this machine
(DNS rebinding). A server on a loopback address therefore only answers requests to its own names. There are no CORS
headers, and bodies must be of a type that browsers do not send without asking first.
"""

from __future__ import annotations

import hmac
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from isthmus.serve.metrics import Metrics
from isthmus.serve.problems import CONTENT_TYPE, Problem, problem_of
from isthmus.serve.settings import ServerSettings

logger = logging.getLogger("isthmus.serve")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/", "/health", "/ready")
"""Paths without a token: probes, and the page, which asks for it."""

OPEN_FOLDER = "/page/"
LOOPBACK = ("localhost", "127.0.0.1", "::1")

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Gate:
    """An ASGI application around another one.

    Args:
        app: the wrapped application.
        settings: settings of the server.
        metrics: receives each request.
        label: returns the label of a path for the metrics.
    """

    def __init__(self, app: App, settings: ServerSettings, metrics: Metrics, label: Callable[[str], str]) -> None:
        self._app, self._settings, self._metrics, self._label = app, settings, metrics, label
        given = settings.host.strip("[]")
        self._names = {name.casefold() for name in (*LOOPBACK, given, *settings.names)}
        self._token = None if settings.token is None else settings.token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started, status, answering = time.monotonic(), 500, False

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status, answering
            if message["type"] == "http.response.start":
                status, answering = message["status"], True
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, sent)
        except Problem as problem:
            await respond(problem, sent)
        except Exception as error:
            log_failure(error)
            # FastAPI may have started the response before it raised.
            if not answering:
                await respond(problem_of(error), sent)
        finally:
            path, seconds = self._label(scope["path"]), time.monotonic() - started
            self._metrics.request(path, status, seconds)
            log("request", method=scope["method"], path=path, status=status, ms=round(1000 * seconds, 1))

    def _check(self, scope: Scope) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if (self._settings.loopback or self._settings.names) and not self._is_own(headers.get(b"host", b"")):
            raise Problem("foreign-host", 421, "Not a name of this server", "Host must be a name of this server")
        path = scope["path"]
        if self._token is None or path in OPEN or path.startswith(OPEN_FOLDER):
            return
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
            raise Problem(
                "no-token",
                401,
                "A token is needed",
                "send Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _is_own(self, host: bytes) -> bool:
        text = host.decode("latin-1").casefold()
        name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
        return name in self._names


async def respond(problem: Problem, send: Send) -> None:
    """Send a problem as the response."""
    body = to_json(problem.document())
    headers: list[tuple[bytes, bytes]] = [(b"content-type", CONTENT_TYPE.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def log(event: str, **facts: Any) -> None:
    """Write one line of JSON about an event, with its time."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + "Z"
    logger.info("%s", json.dumps({"time": stamp, "event": event, **facts}))


def log_failure(error: BaseException) -> None:
    """Log the type and the location of an unexpected error, but not its text, which may contain parts of the
    request."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    log("failure", error=type(error).__name__, where=where)
