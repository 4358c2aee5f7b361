"""Loads pictures and their names from a folder, a file, an array or a list."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from isthmus.checked.arguments import listed
from isthmus.checked.dense import real_numbers
from isthmus.errors import InputError, SettingError, SourceError
from isthmus.ids import without_surrogates
from isthmus.reprs import brief, counted
from isthmus_images.files.arrays import ENDS, is_array, read_arrays
from isthmus_images.files.formats import NO_PICTURES, SUFFIXES
from isthmus_images.files.idx import is_idx, labels_beside, read_idx
from isthmus_images.files.levels import Levels, levels_of
from isthmus_images.files.pictures import picture_from, picture_of
from isthmus_images.files.pixels import Form, Picture, Pixels, as_pixels

logger = logging.getLogger(__name__)

ON_ERROR = ("raise", "skip")
NAMED_AT_MOST = 5


@dataclass(frozen=True)
class How:
    """Options for reading pictures.

    Attributes:
        form: size and colour.
        on_error: "raise" an error for a file that cannot be read, or "skip" it, which is logged.
        noisy: whether floats in arrays may be outside 0 to 1.
        levels: the values of black and white in pictures and arrays of more than 8 bits; None for the range of the
            data.
        in_arrays: whether they apply to arrays, too.
    """

    form: Form = field(default_factory=Form)
    on_error: str = "raise"
    noisy: bool = False
    levels: Levels | None = None
    in_arrays: bool = True

    @property
    def array_levels(self) -> Levels | None:
        """The values of black and white in arrays of integers."""
        return self.levels if self.in_arrays else None

    def over(self, sources: Iterable[Any]) -> How:
        """The options with the levels of these pictures, unless levels were given."""
        return self if self.levels is not None else replace(self, levels=levels_of(sources))

    def __post_init__(self) -> None:
        if self.on_error not in ON_ERROR:
            raise SettingError(f"on_error={self.on_error!r}", expected="'raise' or 'skip'")


@brief
@dataclass(frozen=True)
class Loaded:
    """Pictures, which may have different sizes.

    Attributes:
        pictures: one array for all of them, or one for each.
        names: the path below the folder, or the position in an array.
        labels: the first folder below the given one, or those of an IDX file.
        skipped: files that could not be read, or are not pictures.
        levels: the values of black and white in pictures of more than 8 bits; None if there are none.
        reasons: the reason for each skipped file.
    """

    pictures: Pixels | Sequence[Picture]
    names: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()
    levels: Levels | None = None
    reasons: tuple[str, ...] = ()

    def stacked(self) -> Pixels:
        """All pictures as one array, in colour if any of them is.

        Raises:
            InputError: pictures of different sizes; the message names two.
        """
        if isinstance(self.pictures, np.ndarray):
            return self.pictures
        sizes = [picture.shape[1:] for picture in self.pictures]
        other = next((row for row, size in enumerate(sizes) if size != sizes[0]), None)
        if other is not None:
            raise InputError(
                f"{self.names[0]} of {sizes[0][0]} x {sizes[0][1]} and {self.names[other]} of"
                f" {sizes[other][0]} x {sizes[other][1]} pixels",
                expected="pictures of one size",
                remedy="name a size that they are read in, such as size=64 or --size 64",
            )
        most = max(len(picture) for picture in self.pictures)
        return np.stack([np.broadcast_to(picture, (most, *picture.shape[1:])) for picture in self.pictures])


def load(source: Any, how: How) -> Loaded:
    """Load pictures from a folder (flat or nested), a picture, ``.npy``, ``.npz`` or IDX file, an array, a Pillow
    image, or a list of paths, Pillow images or arrays.

    Raises:
        SourceError: the path does not exist or contains no pictures, or a broken file (with ``on_error="raise"``).
        InputError: another type, or an array of the wrong shape.
        ValueRangeError: an array of numbers that are not pixels.
    """
    if isinstance(source, str | os.PathLike):
        return _from_path(Path(source), how)
    if isinstance(source, Image.Image):
        how = how.over([source])
        return Loaded([picture_from(source, how.form, how.levels)], ("0",), levels=how.levels)
    if isinstance(source, np.ndarray | Tensor):
        return _from_array(source, "an array", how)
    if isinstance(source, Iterable):
        return _from_list(listed("images", source, "a path, an array, or a list of either"), how)
    raise InputError(f"images from a {type(source).__name__}", expected="a path, an array, or a list of either")


def _from_path(path: Path, how: How) -> Loaded:
    if path.is_dir():
        return _from_folder(path, how)
    if not path.exists():
        raise SourceError(f"no {path}", expected="a folder of pictures, a picture, or an array or IDX file")
    if is_idx(path):
        found = _from_array(read_idx(path, 3), str(path), how)
        labels = labels_beside(path)
        if labels is not None and len(labels) != len(found.names):
            raise SourceError(f"{len(labels):,} labels beside {path}", expected=f"{len(found.names):,}, one an image")
        return replace(found, labels=labels)
    if is_array(path):
        return _from_archive(path, how)
    if path.suffix.lower() not in SUFFIXES:
        kinds = ", ".join(sorted([*SUFFIXES, *ENDS]))
        raise SourceError(f"{path} has no ending of a picture", expected=f"a folder, an IDX file, or one of {kinds}")
    how = how.over([path])
    return Loaded([picture_of(path, how.form, how.levels)], (without_surrogates(path.name),), levels=how.levels)


def _from_folder(folder: Path, how: How) -> Loaded:
    files, others = pictures_below(folder)
    if not files:
        found = f", but {counted(len(others), 'other file')} such as {others[0].name}" if others else ""
        raise SourceError(
            f"{folder} holds no picture{found}", expected=f"files such as {', '.join(sorted(SUFFIXES)[:4])}"
        )
    how = how.over(files)
    names = [below(path, folder) for path in files]
    skipped = {below(path, folder): f"no ending of a picture ({path.suffix or 'none'})" for path in others}
    kept, broken = _each(names, [_reader(path, how) for path in files], how, str(folder))
    skipped = {**skipped, **broken}
    _say(skipped, str(folder))
    labels = [name.partition("/")[0] for name, _ in kept]
    nested = all("/" in name for name, _ in kept)
    return Loaded(
        [picture for _, picture in kept],
        tuple(name for name, _ in kept),
        tuple(labels) if nested else None,
        tuple(sorted(skipped)),
        how.levels,
        tuple(skipped[name] for name in sorted(skipped)),
    )


def pictures_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files in and below a folder, in order: pictures (by extension), and others."""
    found: tuple[list[Path], list[Path]] = ([], [])
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.name.lower() not in NO_PICTURES and path.is_file():
            found[path.suffix.lower() not in SUFFIXES].append(path)
    return found


def below(path: Path, folder: Path) -> str:
    """The name of a file below a folder, with slashes."""
    return without_surrogates(path.relative_to(folder).as_posix())


def _say(skipped: Mapping[str, str], where: str) -> None:
    """Log the skipped files and the reasons."""
    if skipped:
        shown = ", ".join(f"{name} ({why})" for name, why in list(skipped.items())[:NAMED_AT_MOST])
        more = f" and {len(skipped) - NAMED_AT_MOST:,} more" if len(skipped) > NAMED_AT_MOST else ""
        logger.warning("%s of %s skipped: %s%s", counted(len(skipped), "file"), where, shown, more)


def _from_list(given: list[Any], how: How) -> Loaded:
    if not given:
        raise InputError("no images", expected="at least one")
    given = [Path(one) if isinstance(one, str | os.PathLike) else one for one in given]
    how = how.over(given)
    readers, names = [], []
    for place, one in enumerate(given):
        is_path = isinstance(one, Path)
        names.append(without_surrogates(str(one)) if is_path else str(place))
        readers.append(_reader(one, how) if is_path else _one(one, f"image {place}", how))
    kept, skipped = _each(names, readers, how, "the list")
    _say(skipped, "the list")
    whole, kept_names = [picture for _, picture in kept], tuple(name for name, _ in kept)
    return Loaded(whole, kept_names, None, tuple(skipped), how.levels, tuple(skipped.values()))


def _reader(path: Path, how: How) -> Callable[[], Picture]:
    return lambda: picture_of(path, how.form, how.levels)


def _one(given: Any, what: str, how: How) -> Callable[[], Picture]:
    def read() -> Picture:
        if isinstance(given, Image.Image):
            return picture_from(given, how.form, how.levels)
        if np.ndim(given) not in (2, 3):
            raise InputError(f"{what} of shape {np.shape(given)}", expected="(height, width), with channels if any")
        pixels = as_pixels(real_numbers(given, "pixels")[None], what, noisy=how.noisy, levels=how.array_levels)
        how.form.check(pixels, what)
        picture: Picture = pixels[0]
        return picture

    return read


def _each(
    names: list[str], readers: list[Callable[[], Picture]], how: How, where: str
) -> tuple[list[tuple[str, Picture]], dict[str, str]]:
    """The pictures that could be read, with their names, and the reasons for the others by name."""
    kept, skipped = [], dict[str, str]()
    for name, read in zip(names, readers, strict=True):
        try:
            kept.append((name, read()))
        except SourceError as error:
            if how.on_error == "raise":
                raise SourceError(
                    error.given,
                    expected=error.expected,
                    remedy="remove it, or skip broken files with on_error='skip'",
                    option="remove it, or leave out broken files with --skip-broken",
                ) from error
            skipped[name] = "cannot be read"
    if not kept:
        raise SourceError(f"all {len(skipped):,} pictures of {where} are broken", expected="at least one whole one")
    return kept, skipped


def _from_archive(path: Path, how: How) -> Loaded:
    found = read_arrays(path)
    if len(found) == 1:
        name, array = next(iter(found.items()))
        return _from_array(array, str(path) if name == path.name else f"{path}, array {name!r},", how)
    how = how.over(found.values())
    pictures = [_one(array, f"{path}, array {name!r}", how)() for name, array in found.items()]
    return Loaded(pictures, tuple(found), levels=how.levels)


def _from_array(array: Any, what: str, how: How) -> Loaded:
    how = how.over([array])
    pixels = as_pixels(array, what, noisy=how.noisy, levels=how.array_levels)
    how.form.check(pixels, what)
    return Loaded(pixels, tuple(map(str, range(len(pixels)))), levels=how.levels)
