"""``isthmus bench DIR --http``: what this machine answers, measured on a server of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus.cli.options import Directory, Seed
from isthmus.cli.output import Json, emit, status, table
from isthmus.cli.sharing.serving import check_installed
from isthmus.errors import InputError

DIFFERENT = 200
"""Requests that are asked in turn."""


def bench(
    directory: Directory,
    http: Annotated[
        bool, typer.Option("--http", help="Measure over HTTP, with a server that is started for it.")
    ] = False,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second of the first measurement.")] = 50.0,
    clients: Annotated[int, typer.Option(min=1, max=512, help="Clients of the second measurement.")] = 32,
    duration: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds of each measurement.")] = 10.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure how fast a bundle is answered: at a fixed rate, and with several clients at a time."""
    if not http:
        raise InputError("bench without --http", remedy=f"isthmus bench {directory} --http")
    check_installed("bench")
    document = measure(directory, rate=rate, clients=clients, seconds=duration, seed=seed)
    emit(document, as_json, lambda: _page(document))


def measure(directory: Path, *, rate: float, clients: int, seconds: float, seed: int) -> dict[str, Any]:
    """Start a server for a bundle and put load on it.

    Args:
        directory: the bundle.
        rate: requests a second of the first measurement.
        clients: of the second one.
        seconds: of each.
        seed: of the requests.

    Returns:
        What was measured, as JSON.

    Raises:
        InputError: a bundle without requests to measure with.
    """
    from isthmus.serve.measuring.child import served
    from isthmus.serve.measuring.load import Questions, crowded, paced
    from isthmus.serve.opened import Place, open_bundle

    trial = open_bundle(Place("bench", directory)).offer.trial
    if trial is None:
        raise InputError(f"{str(directory)!r} offers no requests to measure with")
    action, documents = trial(DIFFERENT, seed)
    with served(f"bench={directory}", "--no-page") as child:
        questions = Questions(child.address, f"/v1/{action}", documents)
        asyncio.run(crowded(questions, 1, min(1.0, seconds)))
        status(f"{rate:g} requests a second")
        before = child.megabytes()
        steady = asyncio.run(paced(questions, rate, seconds))
        status(f"{clients} clients")
        full = asyncio.run(crowded(questions, clients, seconds))
        after = child.megabytes()
    return {
        "path": str(directory),
        "action": action,
        "steady": {"rate": rate, **_figures(steady)},
        "full": {"clients": clients, **_figures(full)},
        "megabytes_before": before,
        "megabytes_after": after,
    }


def _figures(found: Any) -> dict[str, Any]:
    return {
        "requests_per_second": round(found.rate, 1),
        "median_ms": round(found.milliseconds(0.5), 2),
        "p99_ms": round(found.milliseconds(0.99), 2),
        "answers": {str(status): count for status, count in sorted(found.statuses.items())},
    }


def _page(document: dict[str, Any]) -> RenderableType:
    rows = [
        (what, f"{one['requests_per_second']:,.1f}", f"{one['median_ms']:.2f}", f"{one['p99_ms']:.2f}", _others(one))
        for what, one in (
            (f"{document['steady']['rate']:g} requests a second", document["steady"]),
            (f"{document['full']['clients']} clients", document["full"]),
        )
    ]
    head = Text(f"{document['path']}: POST /v1/{document['action']}")
    lines: list[RenderableType] = [head, table(("load", "answers/s", "median, ms", "99 %, ms", "refused"), rows)]
    if document["megabytes_after"] is not None:
        lines.append(
            Text(f"memory: {document['megabytes_before']:.0f} MB before, {document['megabytes_after']:.0f} MB after")
        )
    return Group(*lines)


def _others(one: dict[str, Any]) -> int:
    return sum(count for status, count in one["answers"].items() if status != "200")
