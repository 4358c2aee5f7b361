"""The page and its files, which lie in the packages and need nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Response

from isthmus.serve.problems import Problem
from isthmus.serve.shelf import Shelf

FOLDER = Path(__file__).with_name("page")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Only what comes from here, and nothing that is written into the page."""


def add_page(app: FastAPI, shelf: Shelf) -> None:
    """Serve the page: ``/`` and its files, with the panel of each domain as ``/page/panel/DOMAIN.js``."""
    files = {path.name: path for path in FOLDER.iterdir() if path.suffix in TYPES}

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return _file(files["index.html"])

    @app.get("/page/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in files:
            raise Problem("unknown-path", 404, "No such path")
        return _file(files[name])

    @app.get("/page/panel/{name}", include_in_schema=False)
    async def panel(name: str) -> Response:
        panels = {f"{one.domain}.js": one.offer.page for one in shelf.models.values()}
        path = panels.get(name)
        if path is None:
            raise Problem("unknown-path", 404, "No such path")
        return _file(path)


def _file(path: Path) -> Response:
    headers = {"content-type": TYPES[path.suffix], "content-security-policy": POLICY, "cache-control": "no-cache"}
    return Response(path.read_bytes(), headers=headers)
