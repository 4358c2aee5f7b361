"""``isthmus serve``: bundles over HTTP, with a page in the browser."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import DeviceName
from isthmus.cli.output import status
from isthmus.errors import MissingLibraryError, SettingError
from isthmus.reprs import counted

if TYPE_CHECKING:
    from isthmus.serve.opened import Opened

NEEDED = ("fastapi", "prometheus_client", "pydantic", "uvicorn")


def serve(
    directories: Annotated[list[str], typer.Argument(metavar="DIR...", help="Saved bundles: DIR, or NAME=DIR.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8000,
    device: DeviceName = "cpu",
    window: Annotated[
        float, typer.Option(help="Milliseconds that a request waits for others, to be answered together.")
    ] = 3.0,
    queue: Annotated[int, typer.Option(min=1, help="Requests that may wait for each model.")] = 256,
    max_body: Annotated[int, typer.Option(min=1, help="Largest body of a request, in kB.")] = 8_192,
    max_k: Annotated[int, typer.Option(min=1, help="Most results of one request.")] = 1_000,
    max_history: Annotated[int, typer.Option(min=1, help="Most items of one history.")] = 10_000,
    max_batch: Annotated[int, typer.Option(min=1, help="Most texts, images or rows of one request.")] = 2_048,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A host name of this server; may be repeated.")
    ] = None,
    allow_reload: Annotated[
        bool, typer.Option("--allow-reload", help="POST /v1/reload loads the bundles again.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that answer, each with models of its own.")
    ] = 1,
    no_page: Annotated[bool, typer.Option("--no-page", help="Do not serve the page for browsers.")] = False,
) -> None:
    """Answer questions to bundles over HTTP, and show a page in the browser.

    Ctrl-C stops the server, SIGHUP loads the bundles again. If ISTHMUS_TOKEN is set, requests must carry it.
    """
    check_installed("serve")
    from isthmus.actions.requests import Limits
    from isthmus.serve.opened import open_bundle, places
    from isthmus.serve.server import run
    from isthmus.serve.settings import TOKEN, ServerSettings
    from isthmus.serve.workers import run_workers

    if not 0 <= window <= 1_000:
        raise SettingError(f"--window {window}", expected="milliseconds from 0 to 1,000; 2 to 5 are usual")
    settings = ServerSettings(
        host=host,
        port=port,
        limits=Limits(max_k, max_history, max_batch),
        body=1_024 * max_body,
        window=window / 1_000,
        queue=queue,
        token=os.environ.get(TOKEN) or None,
        names=tuple(name or ()),
        reload_over_http=allow_reload,
        page=not no_page,
    )
    if not settings.loopback and settings.token is None:
        status(f"warning: whoever reaches {host} can ask these models; set {TOKEN} to demand a token")
    found, load = places(directories), partial(open_bundle, device=device)
    if workers == 1:
        run(found, load, settings, _say)
    else:
        run_workers(workers, found, load, settings, _say)


def check_installed(command: str) -> None:
    """Refuse a command that needs the extra ``serve`` without it.

    Raises:
        MissingLibraryError: one of its libraries is not installed.
    """
    missing = [library for library in NEEDED if find_spec(library) is None]
    if missing:
        raise MissingLibraryError(
            f"isthmus {command} without {', '.join(missing)}", remedy='pip install "isthmus[serve]"'
        )


def _say(address: str, models: Sequence[Opened]) -> None:
    for one in models:
        status(f"{one.name}: {one.domain}, {counted(len(one.offer.actions), 'action')}")
    status(f"{address} (Ctrl-C stops it)")
