"""The faces of the installed plugins: by name, and by the bundle that one of them saved.

A face is what users meet of a domain, such as ``Recommender``; its plugin lists it in ``Plugin.faces``. Importing this
module imports no plugin and nothing heavy: the plugin of a face is imported when the face is asked for.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import bundle, plugins
from isthmus.bundle.manifest import Manifest, peek
from isthmus.errors import MissingPluginError, NameClashError, PluginError, SettingError

if TYPE_CHECKING:
    from isthmus.protocols import Face

INDEX = "index"
"""What the manifest of an index names; it is not an adapter."""

HOMES = {
    "Compressor": "vectors",
    "Detector": "vectors",
    "ImageAutoencoder": "images",
    "Recommender": "interactions",
    "TextAutoencoder": "text",
    "VectorAutoencoder": "vectors",
}
"""The plugins of isthmus's own faces: one that is missing can be named, and no other is imported to look for it."""


def load(path: str | Path, *, device: str = "cpu") -> Any:
    """Load any bundle as what it was saved by: ``Recommender``, ``TextAutoencoder``, ``Index``, a plugin's own face.

    The class is known only when the manifest has been read, hence the type ``Any``; ``Recommender.load`` and the like
    are typed, and refuse bundles of other classes.

    Args:
        path: the directory that ``save`` wrote.
        device: where it answers: ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` takes CUDA where there is a device and
            the class can answer there.

    Returns:
        A fitted object of that class, on that device.

    Raises:
        BundleError: no bundle there, or one that is truncated, altered, foreign or too new.
        MissingPluginError: the plugin that saved it is not installed.
        MissingLibraryError: a library that the plugin needs is not; the message names the remedy.
        PluginError: the plugin cannot be imported for another reason, or has no face for the bundle.
        SettingError: a device that is not there, or one for a class that answers on the CPU alone.
    """
    manifest = peek(path)
    if manifest.plugin == INDEX:
        from isthmus.index import Index

        return _loaded(Index, path, device)
    return _loaded(_face_of(manifest, path), path, device)


def _loaded(face: Any, path: str | Path, device: str) -> Any:
    if "device" in inspect.signature(face.load).parameters:
        return face.load(path, device=device)
    if device not in ("auto", "cpu"):
        raise SettingError(f"device {device} for a bundle of {face.__name__}", expected="cpu, where it answers")
    return face.load(path)


def find_face(name: str) -> type[Face] | None:
    """A face by the name of its class; only its plugin is imported, or those of other distributions for a name that is
    none of isthmus's own.

    Returns:
        The class, or None where no plugin has it.

    Raises:
        PluginError: the plugin of one of isthmus's own faces cannot be had; the message names the remedy.
        NameClashError: two plugins have different faces of that name.
    """
    if name in HOMES:
        return _named(HOMES[name], name)
    others = plugins.load_all(set(plugins.names()) - set(plugins.FIRST_PARTY))
    having = {owner: plugin.faces[name] for owner, plugin in others.items() if name in plugin.faces}
    if len(set(having.values())) > 1:
        raise NameClashError(f"the face {name!r} is offered by the plugins {', '.join(having)}", remedy="import one")
    return next(iter(having.values()), None)


def _face_of(manifest: Manifest, path: str | Path) -> type[Face]:
    """The face that opens the bundle at ``path``."""
    try:
        plugin = plugins.load(manifest.plugin)
    except MissingPluginError as error:
        raise MissingPluginError(
            f"{str(path)!r} is a bundle of the plugin {manifest.plugin!r}, which is not installed",
            expected=error.expected,
            remedy=error.remedy or "install the distribution that announces it",
        ) from None
    with bundle.as_damage(path):
        name = plugin.face_for(manifest.builder, manifest.facts) if plugin.face_for else next(iter(plugin.faces), "")
    return _named(manifest.plugin, name)


def _named(owner: str, name: str) -> type[Face]:
    faces = plugins.load(owner).faces
    if name not in faces:
        said = plugins.announcement(owner)
        raise PluginError(
            f"the plugin {owner!r} of {said.distribution} {said.version} has no face {name!r}",
            expected=f"one of: {', '.join(faces) or '(none)'}",
            remedy=f"upgrade {said.distribution}",
        )
    return faces[name]
