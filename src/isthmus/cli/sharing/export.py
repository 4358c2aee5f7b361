"""``isthmus export``: a bundle in the format of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from isthmus.cli.options import Directory
from isthmus.cli.output import Json, emit
from isthmus.errors import InputError


def export(
    directory: Directory,
    onnx: Annotated[bool, typer.Option("--onnx", help="As an ONNX graph, for onnxruntime.")] = False,
    out: Annotated[Path | None, typer.Option(help="A new folder [DIR.onnx].")] = None,
    k: Annotated[
        int | None, typer.Option("-k", "--k", min=1, help="How many items a recommender answers with [100].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the model of a bundle for other programs."""
    # Imported here because it brings torch, which a help page does not need.
    from isthmus.faces import load

    if not onnx:
        raise InputError("export without a format", expected="--onnx")
    face = load(directory)
    if not hasattr(face, "to_onnx"):
        raise InputError(
            f"a {type(face).__name__} cannot be exported to ONNX",
            expected="a recommender, or an autoencoder of images or of rows of numbers",
        )
    chosen = {} if k is None else {"k": k}
    if chosen and type(face).__name__ != "Recommender":
        raise InputError(f"-k for a {type(face).__name__}", expected="a recommender", remedy="leave it out")
    place = face.to_onnx(Path(f"{directory.resolve()}.onnx") if out is None else out, **chosen)
    files = {path.name: path.stat().st_size for path in sorted(place.iterdir())}
    emit({"path": str(place), "files": files}, as_json, lambda: Text(f"wrote {', '.join(files)} to {place}"))
