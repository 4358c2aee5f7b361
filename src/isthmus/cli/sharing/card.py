"""``isthmus card``: the model card of a bundle, printed or written into it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from isthmus.cli.options import Directory
from isthmus.cli.output import Json, emit
from isthmus.errors import InputError


def card(
    directory: Directory,
    write: Annotated[bool, typer.Option("--write", help="Write it to README.md in the bundle.")] = False,
    scores: Annotated[
        Path | None, typer.Option(help="Also tell these scores: a file that isthmus evaluate --json printed.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="The data set of --scores, such as MovieLens-1M.")] = None,
    license: Annotated[str | None, typer.Option(help="Identifier of a license on the hub, such as mit.")] = None,
    as_json: Json = False,
) -> None:
    """Print the model card of a bundle: Markdown with YAML for the Hugging Face hub."""
    # Imported here because they bring torch, which a help page does not need.
    from isthmus.cards import read_scores, write_card
    from isthmus.faces import card_of_bundle

    if (scores is None) != (dataset is None):
        given, other = ("--scores", "--dataset") if dataset is None else ("--dataset", "--scores")
        raise InputError(f"{given} without {other}", expected="both, or neither")
    further = [] if scores is None or dataset is None else [read_scores(scores, dataset)]
    text = card_of_bundle(directory, measured=further, license=license)
    place = write_card(directory, text) if write else None
    document = {"path": None if place is None else str(place), "card": text}
    emit(document, as_json, lambda: Text(text if place is None else f"wrote {place}"))
