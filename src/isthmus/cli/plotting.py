"""``isthmus plot``: training curves and a map of codes as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from isthmus.bundle.manifest import Manifest, peek
from isthmus.cli.output import Json, emit
from isthmus.errors import InputError


def plot(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What fit saved.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures; by default DIR-plots.")] = None,
    codes: Annotated[Path | None, typer.Option(help="Codes to map, a .npy file as encode writes it.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels that colour the map, a line for each code.")] = None,
    form: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    as_json: Json = False,
) -> None:
    """Plot the curves of a training, and a map of codes."""
    if labels is not None and codes is None:
        raise InputError("labels without codes", remedy="write the codes with encode --out and name them with --codes")
    folder = out or directory.with_name(f"{directory.resolve().name}-plots")
    figures = {"training": _curves(peek(directory))}
    if codes is not None:
        figures["codes"] = _map(codes, labels)
    written = _written({name: figure for name, figure in figures.items() if figure is not None}, folder, form)
    emit({"written": written}, as_json, lambda: Text("\n".join(written)))


def _written(figures: dict[str, Any], folder: Path, form: str) -> list[str]:
    # Imported here, as below, because it brings numpy or torch, which the other commands do not need.
    from isthmus.plots import save

    if not figures:
        raise InputError("a bundle that was not trained by epochs", remedy="name codes to map with --codes")
    folder.mkdir(parents=True, exist_ok=True)
    return [str(save(figure, folder / f"{name}.{form}")) for name, figure in figures.items()]


def _curves(manifest: Manifest) -> Any:
    """None where the model was solved or counted."""
    from isthmus.plots import training_curves
    from isthmus.training.history import History

    history = manifest.facts.get("training")
    if not isinstance(history, dict) or len(history.get("records", [])) < 2:
        return None
    try:
        return training_curves(History.from_json(history))
    except (TypeError, KeyError, ValueError) as error:
        raise InputError("a bundle whose course of training cannot be read", remedy="fit it again") from error


def _map(codes: Path, labels: Path | None) -> Any:
    from isthmus.plots import latent_map

    return latent_map(_codes(codes), None if labels is None else labels.read_text(encoding="utf-8").splitlines())


def _codes(path: Path) -> Any:
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read", expected="codes as encode writes them, a .npy file") from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        raise InputError(f"{path} holds no codes", expected="floating-point numbers of shape (n, code)")
    return found
