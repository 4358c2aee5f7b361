"""``isthmus fit vectors``: from a file of numbers to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle, plugins
from isthmus.cli.options import parsed_settings
from isthmus.cli.output import Json, emit, status, table
from isthmus.cli.progress import RichProgress
from isthmus.training.run import Run
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.cli.detect import AUTO, fit_detector
from isthmus_vectors.cli.options import Columns, Drop, Source
from isthmus_vectors.vectors import Vectors


def fit(
    file: Source,
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")],
    model: Annotated[
        str, typer.Option(help="A name from isthmus models, or auto: a detector of anomalies.")
    ] = "vanilla",
    column: Columns = None,
    drop: Drop = None,
    scaling: Annotated[str, typer.Option(help="robust: medians and quartiles of columns; none.")] = "robust",
    code: Annotated[int | None, typer.Option(min=1, help="Numbers of a code.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the rows.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the model; may be repeated.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the rows that chooses the best epoch.")] = 0.1,
    share: Annotated[float, typer.Option(help="Of normal rows that may count as anomalies.")] = 0.05,
    no_index: Annotated[bool, typer.Option("--no-index", help="Do not keep the codes for search.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    checkpoints: Annotated[Path | None, typer.Option(help="A directory to resume from later.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Epochs between checkpoints.")] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    as_json: Json = False,
) -> None:
    """Train on rows of numbers: codes to search, to sample from, and to find what does not fit."""
    bundle.check_target(out)
    run = Run(device, seed, precision, RichProgress(), checkpoints, every, resume)
    named = {"code": code, "epochs": epochs}
    settings = parsed_settings(setting or []) | {name: value for name, value in named.items() if value is not None}
    rows = Vectors.read(file, columns=column, drop=drop or ())
    if model == AUTO:
        return fit_detector(rows, out, share, settings, run, as_json)
    fitted = VectorAutoencoder.fit(
        rows,
        model,
        scaling=scaling,
        validation=validation,
        share=share,
        index=not no_index,
        run=run,
        **settings,
    )
    history = fitted.history
    if history.interrupted and not history.records:
        raise KeyboardInterrupt
    fitted.save(out)
    if history.interrupted:
        status(f"interrupted after epoch {len(history.records)}: the best model so far is saved")
    document = described(out, fitted)
    emit(document, as_json, lambda: _shown(out, document))


def described(out: Path, fitted: VectorAutoencoder) -> dict[str, Any]:
    """What was trained and how it went."""
    history = fitted.history
    best = next((one for one in history.records if one["epoch"] == history.best_epoch), history.records[-1])
    return {
        "path": str(out),
        "model": plugins.command_name(fitted.builder),
        "rows": fitted.facts["rows"],
        "width": fitted.width,
        "code": fitted.code,
        "sparse": fitted.adapter.is_sparse,
        "epochs": len(history.records),
        "best_epoch": history.best_epoch,
        "objective": best.get(history.metric) if history.metric else None,
        "threshold": fitted.threshold.value,
        "seconds": round(history.seconds, 1),
        "interrupted": history.interrupted,
    }


def _shown(out: Path, document: dict[str, Any]) -> RenderableType:
    rows = [(name.replace("_", " "), value) for name, value in document.items() if value is not None]
    return Group(table(("", ""), rows), Text(f"\ntry: isthmus anomalies {out} FILE\n     isthmus sample {out}"))
