"""``isthmus fit images``: from a folder of pictures to a bundle."""

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
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_images.cli.options import Skip, Source, on_error, parsed_size
from isthmus_images.denoising import takes_any_size


def fit(
    images: Source,
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")],
    model: Annotated[str, typer.Option(help="A name from isthmus models.")] = "vanilla",
    size: Annotated[str | None, typer.Option(help="Pixels that pictures are read in, such as 64 or 48x64.")] = None,
    colour: Annotated[str | None, typer.Option(help="grey or colour; left out: grey where all pictures are.")] = None,
    skip_broken: Skip = False,
    crops: Annotated[int, typer.Option(min=0, help="Cut so many parts of --size from each, instead of scaling.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the images.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the model; may be repeated.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the images that choose the best epoch.")] = 0.1,
    contamination: Annotated[float, typer.Option(help="Share of normal images that count as anomalies.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    checkpoints: Annotated[Path | None, typer.Option(help="A directory to resume from later.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Epochs between checkpoints.")] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    as_json: Json = False,
) -> None:
    """Train on images: codes that can be compared, searched and turned back into images."""
    bundle.check_target(out)
    run = Run(device, seed, precision, RichProgress(), checkpoints, every, resume)
    settings = parsed_settings(setting or []) | ({} if epochs is None else {"epochs": epochs})
    fitted = ImageAutoencoder.fit(
        images,
        model,
        size=parsed_size(size),
        colour=colour,
        on_error=on_error(skip_broken),
        crops=crops,
        validation=validation,
        contamination=contamination,
        run=run,
        **settings,
    )
    history = fitted.history
    if history.interrupted and not history.records:
        raise KeyboardInterrupt
    fitted.save(out)
    if history.interrupted:
        status(f"interrupted after epoch {len(history.records)}: the best model so far is saved")
    emit(described(out, fitted), as_json, lambda: _shown(out, fitted))


def described(out: Path, fitted: ImageAutoencoder) -> dict[str, Any]:
    """What was trained and how it went."""
    history = fitted.history
    best = next((one for one in history.records if one["epoch"] == history.best_epoch), history.records[-1])
    height, width = fitted.adapter.size
    return {
        "path": str(out),
        "model": plugins.command_name(fitted.builder),
        "images": fitted.facts["images"],
        "skipped": fitted.facts["skipped"],
        "height": height,
        "width": width,
        "channels": fitted.adapter.signal.channels,
        "epochs": len(history.records),
        "best_epoch": history.best_epoch,
        "seconds": round(history.seconds, 1),
        **{name: value for name, value in best.items() if name in WATCHED},
        "interrupted": history.interrupted,
    }


WATCHED = ("objective", "held_out_nll", "held_out_rate")


def _shown(out: Path, fitted: ImageAutoencoder) -> RenderableType:
    document = described(out, fitted)
    rows = [(name.replace("_", " "), value) for name, value in document.items() if value not in (None, [])]
    hints = f"\ntry: isthmus sample {out} --out new.png\n     isthmus search {out} PICTURE"
    if takes_any_size(fitted.builder):
        hints = f"\ntry: isthmus denoise {out} PICTURE --out clean.png"
    return Group(table(("", ""), rows), Text(hints))
