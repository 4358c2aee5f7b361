"""``isthmus denoise``: photographs and images without their noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from isthmus.cli.output import Json, emit, status
from isthmus.disk import new_folder
from isthmus.errors import InputError, SourceError
from isthmus.reprs import counted
from isthmus_images import denoising
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_images.cli.commands import written_images
from isthmus_images.cli.options import Out, Skip, check_pictures, on_error
from isthmus_images.files.formats import SUFFIXES
from isthmus_images.files.loading import below, pictures_below
from isthmus_images.files.photographs import FORMATS, Photograph, check_name, read_photograph, write_photograph
from isthmus_images.photo_denoising import cleaner, level_of, photo_denoiser

Paths = Annotated[
    list[str], typer.Argument(metavar="[DIR] IMAGES", help="A bundle, if not the denoiser of the package; and images.")
]
Level = Annotated[
    float | None,
    typer.Option(min=0, help="Standard deviation of the noise, for pixels from 0 to 1 [estimated for each picture]."),
]


def denoise(paths: Paths, out: Out, level: Level = None, skip_broken: Skip = False, as_json: Json = False) -> None:
    """Remove noise from images; without a bundle, from photographs by the denoiser of the package."""
    if len(paths) > 2:
        raise InputError(f"{len(paths)} paths", expected="images, or a bundle and images", remedy="give a folder")
    images = Path(paths[-1])
    single = images.suffix.lower() in SUFFIXES and not images.is_dir()
    as_photograph = single and out.suffix.lower() in FORMATS
    if as_photograph:
        check_name(out)
    else:
        check_pictures(out)
    model = ImageAutoencoder.load(paths[0]) if len(paths) == 2 else photo_denoiser()
    own = len(paths) == 1
    if denoising.takes_any_size(model.builder) and as_photograph:
        levels = _one(model, images, out, level)
    elif own and (single or images.is_dir()):
        levels = _all(model, images, out, level, skip_broken)
    else:
        noisy = denoising.noisy_from(model.fitted, paths[-1], on_error(skip_broken))
        written_images(denoising.denoised(model.fitted, noisy, level), noisy.names, out, as_json)
        return
    document = {"images": len(levels), "path": str(out), "levels": levels}
    told = "" if len(levels) > 1 else f"; noise {next(iter(levels.values())):.3f}"
    emit(document, as_json, lambda: Text(f"{counted(len(levels), 'image')} in {out}{told}"))


def _one(model: ImageAutoencoder, path: Path, out: Path, level: float | None) -> dict[str, float]:
    photograph = read_photograph(path)
    check_name(out, photograph)
    write_photograph(out, photograph.changed(cleaner(model, level)))
    return {path.name: _level(photograph, level)}


def _all(model: ImageAutoencoder, images: Path, out: Path, level: float | None, skip: bool) -> dict[str, float]:
    """Every photograph of a folder under its own name, in a new folder."""
    files = pictures_below(images)[0] if images.is_dir() else [images]
    if not files:
        raise SourceError(f"{images} holds no picture", expected="files such as .jpg and .png")
    clean, levels = cleaner(model, level), dict[str, float]()
    with new_folder(out) as scratch:
        for path in files:
            try:
                photograph = read_photograph(path)
            except (InputError, SourceError) as error:
                if not skip:
                    raise
                status(f"skipped: {error}")
                continue
            name = below(path, images) if images.is_dir() else path.name
            target = _target(scratch / name, photograph)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_photograph(target, photograph.changed(clean))
            levels[name] = _level(photograph, level)
        if not levels:
            raise SourceError(f"all {len(files):,} pictures of {images} are broken", expected="at least one whole one")
    return levels


def _target(path: Path, photograph: Photograph) -> Path:
    """The name of a photograph; with the ending .png if its own format cannot be written or cannot have all of it."""
    try:
        check_name(path, photograph)
    except InputError:
        path = path.with_name(path.name + ".png")
    return path


def _level(photograph: Photograph, level: float | None) -> float:
    return level_of(photograph.pixels) if level is None else level
