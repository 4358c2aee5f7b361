"""The application: routes over the served models."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from isthmus import __version__
from isthmus.actions import Action
from isthmus.actions.requests import checked
from isthmus.errors import IsthmusError
from isthmus.serve import bodies, problems, schema, static
from isthmus.serve.batching import Batcher
from isthmus.serve.gate import App, Gate, log, log_failure
from isthmus.serve.metrics import CONTENT_TYPE, Metrics
from isthmus.serve.opened import Opened
from isthmus.serve.problems import Problem, problem_of
from isthmus.serve.settings import ServerSettings
from isthmus.serve.shelf import Shelf

FIXED = ("/", "/health", "/ready", "/metrics", "/openapi.json", "/v1/models", "/v1/reload")
OTHER = "other"

LANES = ("together", "alone", "drawn")
"""Queues of a model, each with a thread: new texts or a map, which take long, hold up nothing that is answered
together."""


class Service:
    """The served models with their queues.

    Args:
        shelf: the models.
        settings: settings of the server.
    """

    def __init__(self, shelf: Shelf, settings: ServerSettings) -> None:
        self.shelf, self.settings, self.metrics = shelf, settings, Metrics()
        self.ready = True
        self.after_loading: Callable[[], None] = lambda: None
        """Called when models were replaced."""
        self._queues = {name: {lane: self._queue(name) for lane in LANES} for name in shelf.models}
        for name, lanes in self._queues.items():
            self.metrics.watch_queue(name, partial(_waiting, lanes))
        self.metrics.loaded(shelf.loaded_at)

    async def answer(self, name: str, request: Request) -> Response:
        """Answer a request to an action.

        Args:
            name: name of the action.
            request: the HTTP request.

        Raises:
            Problem: the request is rejected.
            IsthmusError: the action fails.
        """
        kind = bodies.kind_of(request)
        if not self.shelf.having(name):
            self.shelf.find(name, None)  # raises, and says which actions there are
        if kind == bodies.JSON:
            document = bodies.parsed(await bodies.body_of(request, self.settings))
            model = self.shelf.find(name, _model(document))
        else:
            query = dict(request.query_params)
            model = self.shelf.find(name, query.get("model"))
            body = await bodies.body_of(request, self.settings)
            document = bodies.uploaded(self._action(model, name), kind, body, query)
        action = self._action(model, name)
        queue = self._queues[model.name][_lane(action)]
        asked = checked(action, document, self.settings.limits)
        return Response(await queue.ask(name, asked), media_type=bodies.JSON)

    def models(self) -> dict[str, Any]:
        """The served models, in the form of OpenAI's list."""
        return {"object": "list", "data": [_listed(one) for one in self.shelf.models.values()]}

    async def reload(self) -> None:
        """Load the bundles again; if one of them cannot be loaded, nothing changes.

        Raises:
            IsthmusError: a bundle that cannot be loaded.
        """
        try:
            await self.shelf.reload()
        except IsthmusError as error:
            log("reload failed", why=str(error))
            raise
        self.after_loading()
        self.metrics.loaded(self.shelf.loaded_at)
        log("reloaded", models=list(self.shelf.models))

    async def close(self) -> None:
        """End all queues."""
        self.ready = False
        for lanes in self._queues.values():
            for queue in lanes.values():
                await queue.close()

    def label(self, path: str) -> str:
        """The label of a path for metrics and logs, one of a few, because paths may contain anything."""
        if path in FIXED:
            return path
        name = path.removeprefix("/v1/")
        if name != path and self.shelf.having(name):
            return path
        return "/page" if path.startswith("/page/") else OTHER

    def _queue(self, name: str) -> Batcher:
        settings = self.settings
        return Batcher(
            name,
            lambda action: self.shelf.models[name].offer.action(action),
            window=settings.window,
            together=settings.together,
            room=settings.queue,
            watch=self.metrics.watcher(name),
        )

    def _action(self, model: Opened, name: str) -> Action:
        action = model.offer.action(name)
        assert action is not None  # the shelf finds models that have it
        return action


def application(
    shelf: Shelf, settings: ServerSettings, reloaded: Callable[[], None] = lambda: None
) -> tuple[App, Service]:
    """The ASGI application over some models.

    Args:
        shelf: the models.
        settings: settings of the server.
        reloaded: called when a request has made it load the bundles again.

    Returns:
        The application, and the service behind it.
    """
    service = Service(shelf, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    app = FastAPI(title="isthmus", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.openapi = lambda: schema.document(shelf, settings)  # type: ignore[method-assign]
    _add_errors(app)
    _add_fixed(app, service, reloaded)
    if settings.page:
        static.add_page(app, shelf)

    @app.post("/v1/{action}", include_in_schema=False)
    async def act(action: str, request: Request) -> Response:
        try:
            return await service.answer(action, request)
        except (IsthmusError, Problem, HTTPException):
            raise
        except Exception as error:
            log_failure(error)
            raise problem_of(error) from None

    return Gate(cast(App, app), settings, service.metrics, service.label), service


def _add_errors(app: FastAPI) -> None:
    async def raised(_: Request, error: Exception) -> Response:
        problem = problem_of(error)
        return Response(to_json(problem.document()), problem.status, dict(problem.headers), problems.CONTENT_TYPE)

    async def refused(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        title = {404: "No such path", 405: "No such method for this path"}.get(status, "Not answered")
        headers = getattr(error, "headers", None) or {}
        return await raised(request, Problem("unknown-path", status, title, headers=headers))

    app.add_exception_handler(Problem, raised)
    app.add_exception_handler(IsthmusError, raised)
    app.add_exception_handler(HTTPException, refused)


def _add_fixed(app: FastAPI, service: Service, reloaded: Callable[[], None]) -> None:
    @app.get("/health", summary="Whether the process answers.")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready", summary="Whether the models are loaded and the server takes requests.")
    async def ready() -> dict[str, str]:
        if not service.ready:
            raise Problem("not-ready", 503, "The server is stopping")
        return {"status": "ready"}

    @app.get("/metrics", summary="Figures for Prometheus.", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    @app.get("/v1/models", summary="The served models and what they can do.")
    async def models() -> dict[str, Any]:
        return service.models()

    if service.settings.reload_over_http:

        @app.post("/v1/reload", summary="Load the bundles again.")
        async def reload() -> dict[str, Any]:
            await service.reload()
            reloaded()
            return service.models()


def _lane(action: Action) -> str:
    if not action.as_tool:
        return "drawn"
    return "alone" if action.together is None else "together"


def _waiting(lanes: Mapping[str, Batcher]) -> float:
    return float(sum(map(len, lanes.values())))


def _model(document: dict[str, Any]) -> str | None:
    name = document.get("model")
    return name if isinstance(name, str) else None


def _listed(one: Opened) -> dict[str, Any]:
    return {
        "id": one.name,
        "object": "model",
        "created": one.created_at,
        "owned_by": "isthmus",
        "domain": one.domain,
        "actions": [action.name for action in one.offer.actions if action.as_tool],
        "drawn": [action.name for action in one.offer.actions if not action.as_tool],
        "about": dict(one.offer.about),
    }
