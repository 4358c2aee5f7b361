"""Loaded bundles with their names and offers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from isthmus import faces, plugins
from isthmus.actions import Offer
from isthmus.bundle.manifest import peek
from isthmus.errors import InputError, MissingLibraryError

ENDING = ".bundle"


@dataclass(frozen=True)
class Place:
    """The name and the location of a model.

    Attributes:
        name: its name in requests.
        path: path of the bundle.
    """

    name: str
    path: Path


@dataclass(frozen=True, eq=False)
class Opened:
    """A loaded model.

    Attributes:
        name: its name in requests.
        domain: the name of its plugin.
        created: when the bundle was written, as in its manifest.
        face: the fitted model.
        offer: its actions.
    """

    name: str
    domain: str
    created: str
    face: Any
    offer: Offer

    @property
    def created_at(self) -> int:
        """When the bundle was written, in seconds since 1970; 0 if unknown."""
        try:
            return int(datetime.fromisoformat(self.created).timestamp())
        except ValueError:
            return 0


def places(given: Iterable[str]) -> list[Place]:
    """The bundles of a command line: ``DIR`` or ``NAME=DIR``. The default name is that of the folder.

    Raises:
        InputError: two bundles with the same name.
    """
    found: dict[str, Place] = {}
    for text in given:
        name, equals, path = text.partition("=")
        # A folder whose name contains an equals sign is still a folder.
        place = _named(text) if not equals or Path(text).exists() else Place(name, Path(path))
        if place.name in found:
            raise InputError(
                f"two bundles named {place.name!r}: {str(found[place.name].path)!r} and {str(place.path)!r}",
                remedy="name one of them: NAME=DIR",
            )
        found[place.name] = place
    return list(found.values())


def _named(path: str) -> Place:
    return Place(Path(path).resolve().name.removesuffix(ENDING), Path(path))


def open_bundle(place: Place, *, device: str = "cpu", extra: str = "serve") -> Opened:
    """Load a bundle and get its offer from its plugin.

    Args:
        place: name and path.
        device: device of the model.
        extra: the extra to install if a library is missing.

    Returns:
        The model, ready for requests.

    Raises:
        BundleError: the directory is not a bundle, or is damaged.
        InputError: a bundle that offers nothing, such as an index.
        MissingLibraryError: pydantic is not installed.
    """
    if find_spec("pydantic") is None:
        raise MissingLibraryError("pydantic is not installed", remedy=f'pip install "isthmus[{extra}]"')
    manifest = peek(place.path)
    serving = None if manifest.plugin == faces.INDEX else plugins.load(manifest.plugin).serving
    if serving is None:
        raise InputError(
            f"{str(place.path)!r} is a bundle of {manifest.plugin!r}, which answers no requests",
            expected="a bundle of an adapter that can be served",
        )
    face = faces.load(place.path, device=device)
    return Opened(place.name, manifest.plugin, manifest.created, face, serving(face))
