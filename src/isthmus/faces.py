"""Finds the faces of the installed plugins, by their names or by the bundles that they saved.

A face is the class of a domain that users meet, such as ``Recommender``; its plugin lists it in ``Plugin.faces``.
Importing this module imports no plugin and nothing heavy; a plugin is imported when one of its faces is requested.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import bundle, plugins
from isthmus.bundle.manifest import Manifest, peek
from isthmus.errors import MissingPluginError, NameClashError, PluginError, SettingError

if TYPE_CHECKING:
    from isthmus.cards import Measured
    from isthmus.protocols import Face

INDEX = "index"
"""The plugin name in the manifest of an index, which has no adapter."""

HOMES = {
    "Compressor": "vectors",
    "Detector": "vectors",
    "ImageAutoencoder": "images",
    "Recommender": "interactions",
    "TextAutoencoder": "text",
    "VectorAutoencoder": "vectors",
}
"""The plugins of isthmus's own faces, so that a missing one can be named and no other plugin is imported."""


def load(path: str | Path, *, device: str = "cpu") -> Any:
    """Load any bundle with the class that saved it: ``Recommender``, ``TextAutoencoder``, ``Index``, a plugin's own
    face.

    The class is only known after the manifest has been read, so the return type is ``Any``; ``Recommender.load`` and so
    on are typed, and raise an error for bundles of other classes.

    Args:
        path: the directory that ``save`` wrote.
        device: device of the model: ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` uses CUDA if there is a device and the
            class supports it.

    Returns:
        A fitted object of that class, on that device.

    Raises:
        BundleError: the directory is not a bundle, or is truncated, altered, or from a newer version.
        MissingPluginError: the plugin that saved it is not installed.
        MissingLibraryError: a library that the plugin needs is not installed; the message says what to install.
        PluginError: the plugin cannot be imported for another reason, or has no face for the bundle.
        SettingError: a device that does not exist, or one for a class that only runs on the CPU.
    """
    manifest = peek(path)
    if manifest.plugin == INDEX:
        from isthmus.index import Index

        return _loaded(Index, path, device)
    return _loaded(face_of(manifest, path), path, device)


def _loaded(face: Any, path: str | Path, device: str) -> Any:
    if "device" in inspect.signature(face.load).parameters:
        return face.load(path, device=device)
    if device not in ("auto", "cpu"):
        raise SettingError(f"device {device} for a bundle of {face.__name__}", expected="cpu, where it answers")
    return face.load(path)


def find_face(name: str) -> type[Face] | None:
    """Find a face by the name of its class. Only its plugin is imported; for names that are not isthmus's own, also
    those of other distributions.

    Returns:
        The class, or None if no plugin has it.

    Raises:
        PluginError: the plugin of one of isthmus's own faces cannot be imported; the message says what to do.
        NameClashError: two plugins have different faces of that name.
    """
    if name in HOMES:
        return _named(HOMES[name], name)
    others = plugins.load_all(set(plugins.names()) - set(plugins.FIRST_PARTY))
    having = {owner: plugin.faces[name] for owner, plugin in others.items() if name in plugin.faces}
    if len(set(having.values())) > 1:
        raise NameClashError(f"the face {name!r} is offered by the plugins {', '.join(having)}", remedy="import one")
    return next(iter(having.values()), None)


def face_of(manifest: Manifest, path: str | Path) -> type[Face]:
    """The class that saved a bundle, which is not an index.

    Args:
        manifest: manifest of the bundle.
        path: path of the bundle, for messages.

    Returns:
        The class.

    Raises:
        PluginError: its plugin is not installed, cannot be imported, or has no such class.
    """
    try:
        plugin = plugins.load(manifest.plugin)
    except MissingPluginError as error:
        raise MissingPluginError(
            f"{str(path)!r} is a bundle of the plugin {manifest.plugin!r}, which is not installed",
            expected=error.expected,
            remedy=error.remedy or "install the distribution that provides it",
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


def card_of_bundle(path: str | Path, *, measured: Sequence[Measured] = (), license: str | None = None) -> str:
    """The model card of any bundle, in the words of the class that saved it.

    Args:
        path: path of the bundle; the files that it verifies are not read.
        measured: scores on further data sets, which the bundle does not know; see ``isthmus.cards.read_scores``.
        license: identifier of a license on the Hugging Face hub, such as ``mit``; None says nothing.

    Returns:
        Markdown with YAML at the top; ``isthmus.cards.write_card`` puts it into the bundle.

    Raises:
        BundleError: the directory is not a bundle, or its manifest is damaged.
        PluginError: the plugin that saved it cannot be imported.
    """
    from isthmus.cards import CardWords, card_of

    manifest = peek(path)
    usual = CardWords(kind="an index of vectors") if manifest.plugin == INDEX else CardWords()
    face = None if manifest.plugin == INDEX else face_of(manifest, path)
    with bundle.as_damage(path):
        return card_of(path, getattr(face, "card_words", usual), measured=measured, license=license)
