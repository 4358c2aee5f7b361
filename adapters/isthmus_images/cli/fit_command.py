"""``isthmus fit images``: from a folder of pictures to a bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus import plugins
from isthmus.cli.options import Contamination, NoIndex
from isthmus.cli.training import Training, fit_command
from isthmus.reprs import counted
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_images.cli.options import Skip, Source, on_error, parsed_size
from isthmus_images.denoising import takes_any_size

METRICS = ("objective", "held_out_nll", "held_out_rate")


@fit_command
def fit(
    images: Source,
    training: Training,
    model: Annotated[str, typer.Option(help="A name from isthmus models.")] = "vanilla",
    size: Annotated[str | None, typer.Option(help="Size in pixels to scale pictures to, such as 64 or 48x64.")] = None,
    colour: Annotated[str | None, typer.Option(help="grey or colour [grey if all pictures are].")] = None,
    skip_broken: Skip = False,
    crops: Annotated[int, typer.Option(min=0, help="Cut this many patches of --size from each picture.")] = 0,
    contamination: Contamination = 0.05,
    no_index: NoIndex = False,
) -> None:
    """Train on images: codes that can be compared, searched and turned back into images."""
    training.check_model("images", model)
    fitted = ImageAutoencoder.fit(
        images,
        model,
        size=parsed_size(size),
        colour=colour,
        on_error=on_error(skip_broken),
        crops=crops,
        validation=training.validation,
        contamination=contamination,
        gallery=not no_index,
        run=training.run,
        **training.settings,
    )
    training.save(fitted)
    out, (height, width) = training.out, fitted.adapter.size
    examples: tuple[str, ...] = (f"isthmus sample {out} --out new.png", f"isthmus search {out} PICTURE")
    if takes_any_size(fitted.builder):
        examples = (f"isthmus denoise {out} PICTURE --out clean.png",)
    training.report(
        fitted,
        plugins.command_name(fitted.builder),
        {
            "images": fitted.facts["images"],
            "skipped": fitted.facts["skipped"],
            "height": height,
            "width": width,
            "channels": fitted.adapter.signal.channels,
        },
        sizes=f"{counted(fitted.facts['images'], 'image')} of {height}×{width} pixels, "
        f"{'grey' if fitted.adapter.signal.channels == 1 else 'in colour'}",
        metrics=METRICS,
        examples=examples,
    )
