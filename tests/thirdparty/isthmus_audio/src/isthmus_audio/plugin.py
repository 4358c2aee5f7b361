"""What the entry point yields: the adapter, models of isthmus, and two commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus import bundle
from isthmus.cli.output import Json, emit, table
from isthmus.models.kinds import denoising, vanilla, variational
from isthmus.protocols import Plugin
from isthmus.training.run import Run
from isthmus_audio.autoencoder import FrameAutoencoder
from isthmus_audio.frames import FRAME, FrameAdapter, Frames


def fit(
    file: Annotated[Path, typer.Argument(help="A WAV file, 16 bits, one channel.")],
    out: Annotated[Path, typer.Option("--out", help="The bundle to write.")],
    length: Annotated[int, typer.Option(min=8, help="Samples of a frame.")] = FRAME,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the frames.")] = 30,
    as_json: Json = False,
) -> None:
    """Train on the frames of a recording."""
    bundle.check_target(out)
    run = Run.gather(device="cpu")
    model = FrameAutoencoder.fit(Frames.read(file, length=length), run=run, epochs=epochs, code=4, batch_size=16)
    model.save(out)
    losses = [float(record["loss"]) for record in model.history.records]
    document = {"out": out, "frames": model.facts["frames"], "first": losses[0], "last": losses[-1]}
    emit(document, as_json, lambda: table(("", ""), list(document.items())))


def anomalies(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle.")],
    file: Annotated[Path, typer.Argument(help="A recording.")],
    as_json: Json = False,
) -> None:
    """Say at which frames a recording sounds unlike what was trained on."""
    flags = FrameAutoencoder.load(directory).is_anomaly(file)
    found = [row for row, flag in enumerate(flags.tolist()) if flag]
    emit({"frames": len(flags), "anomalies": found}, as_json, lambda: table(("frame",), [(row,) for row in found]))


plugin = Plugin(
    FrameAdapter,
    {"denoising": denoising, "vanilla": vanilla, "variational": variational},
    {"fit": fit, "anomalies": anomalies},
    {"FrameAutoencoder": FrameAutoencoder},
)
