"""Served models for tests: small faces, an application over them, and a client that needs no network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import httpx
from tiny_faces import made

from isthmus import plugins
from isthmus.serve.app import Service, application
from isthmus.serve.opened import Opened
from isthmus.serve.settings import ServerSettings
from isthmus.serve.shelf import Shelf

T = TypeVar("T")

DOMAINS = {
    "ease": "interactions",
    "mult-vae": "interactions",
    "text": "text",
    "image": "images",
    "vector": "vectors",
    "detector": "vectors",
    "compressor": "vectors",
}


@cache
def opened(name: str) -> Opened:
    """One of ``tiny_faces`` as it is served, made once."""
    return offered(name, made(name))


def offered(name: str, face: Any, domain: str = "") -> Opened:
    """A face as it is served."""
    domain = domain or DOMAINS[name]
    serving = plugins.load(domain).serving
    assert serving is not None
    return Opened(name, domain, "2026-01-01T00:00:00Z", face, serving(face))


def served(*names: str, **settings: Any) -> tuple[Any, Service]:
    """An application over some of them."""
    return over([opened(name) for name in names], **settings)


def over(models: Sequence[Opened], **settings: Any) -> tuple[Any, Service]:
    """An application over models."""
    shelf = Shelf((), lambda _: models[0], models)
    return application(shelf, ServerSettings(**{"window": 0.002, **settings}))


def asking(app: Any, ask: Callable[[httpx.AsyncClient], Awaitable[T]], service: Service | None = None) -> T:
    """What a client hears that asks an application; errors of the application are not hidden."""

    async def whole() -> T:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            try:
                return await ask(client)
            finally:
                if service is not None:
                    await service.close()

    return asyncio.run(whole())


def post(app: Any, path: str, document: Any, **more: Any) -> httpx.Response:
    """The response to one request."""

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(path, json=document, **more)

    return asking(app, ask)
