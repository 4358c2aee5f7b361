"""Finds plugins by entry points in the group ``isthmus.adapters``, and imports one when it is requested by name.

The search only reads installed metadata, which takes a few milliseconds, and is repeated each time, so that newly
installed plugins are found. Python caches the imports.
"""

from __future__ import annotations

import difflib
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from typing import TYPE_CHECKING, Any

from isthmus.errors import (
    BundleError,
    MissingLibraryError,
    MissingPluginError,
    NameClashError,
    PluginError,
    SettingError,
)
from isthmus.reprs import one_line

if TYPE_CHECKING:
    import isthmus.protocols

GROUP = "isthmus.adapters"
FIRST_PARTY = ("images", "interactions", "text", "vectors")
"""Adapters of the isthmus distribution; each has a pip extra of the same name."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Announcement:
    """The metadata of a plugin.

    Attributes:
        name: name of the plugin, as in ``isthmus fit NAME``.
        distribution: name of its distribution, as in pip.
        version: version of that distribution.
        value: location of the plugin object, ``module:attribute``.
    """

    name: str
    distribution: str
    version: str
    value: str


def installed() -> list[Announcement]:
    """All installed plugins, by name; none is imported.

    Raises:
        NameClashError: two distributions register the same name.
    """
    return [_only(found) for _, found in sorted(_announced().items())]


def names() -> list[str]:
    """The names of all installed plugins, including those that clash."""
    return sorted(_announced())


def announcement(name: str) -> Announcement:
    """The metadata of a plugin; nothing is imported.

    Raises:
        MissingPluginError: there is no plugin of that name.
        NameClashError: two distributions register the name.
    """
    found = _announced().get(name)
    if not found:
        raise _missing(name)
    return _only(found)


def load(name: str) -> isthmus.protocols.Plugin:
    """Import a plugin.

    Raises:
        MissingPluginError: no installed plugin has that name.
        NameClashError: two distributions register the name.
        MissingLibraryError: a library that the plugin needs is not installed; the message says what to install.
        PluginError: the plugin cannot be imported for another reason, or is not a ``Plugin``.
    """
    from isthmus.protocols import Plugin

    said = announcement(name)
    origin = f"plugin {name!r} of {said.distribution} {said.version}"
    try:
        plugin = EntryPoint(name, said.value, GROUP).load()
    except ImportError as error:
        raise _not_importable(said, origin, error) from error
    except Exception as error:
        raise PluginError(
            f"{origin} cannot be imported: {type(error).__name__}: {error}", remedy="report it to its authors"
        ) from error
    if not isinstance(plugin, Plugin):
        raise PluginError(f"{origin} yields a {type(plugin).__name__}", expected="an isthmus.protocols.Plugin")
    return plugin


def load_all(among: Iterable[str] | None = None) -> dict[str, isthmus.protocols.Plugin]:
    """Import all plugins, or those of the given names; plugins that cannot be imported are left out with a warning in
    the log."""
    loaded = {}
    for name in names() if among is None else sorted(among):
        try:
            loaded[name] = load(name)
        except PluginError as error:
            _log.warning("left out: %s", error)
    return loaded


def load_imported() -> dict[str, isthmus.protocols.Plugin]:
    """The plugins whose modules are already imported; no others are imported."""
    homes = {name: found[0].value.partition(":")[0] for name, found in _announced().items() if len(found) == 1}
    return load_all(name for name, home in homes.items() if home in sys.modules)


def find_builder(name: str, plugin: str | None = None) -> tuple[str, isthmus.protocols.Builder]:
    """Find a builder by its name, as in Python or with hyphens, among installed plugins.

    Args:
        name: such as ``mult_vae`` or ``mult-vae``.
        plugin: only search this plugin, and plugins of other distributions that add models to its adapter.

    Returns:
        The name of its plugin, and the builder.

    Raises:
        SettingError: no such builder.
        NameClashError: several plugins have different builders of that name, and ``plugin`` is not given.
        PluginError: the named plugin cannot be imported.
    """
    wanted = python_name(name)
    plugins = load_all() if plugin is None else _over_one_adapter(plugin, wanted)
    having = {owner: loaded.builders[wanted] for owner, loaded in plugins.items() if wanted in loaded.builders}
    if not having:
        raise _no_builder(name, plugin, {known for loaded in plugins.values() for known in loaded.builders})
    owner, builder = next(iter(having.items()))
    if any(other is not builder for other in having.values()):
        raise NameClashError(
            f"builder {name!r} is offered by the plugins {', '.join(having)}", remedy="name the plugin"
        )
    return owner, builder


def _over_one_adapter(plugin: str, wanted: str) -> dict[str, isthmus.protocols.Plugin]:
    """The plugin and, if it does not have the builder, plugins of other distributions with the same adapter."""
    own = load(plugin)
    if wanted in own.builders:
        return {plugin: own}
    others = load_all(set(names()) - {*FIRST_PARTY, plugin})
    return {plugin: own} | {name: other for name, other in others.items() if other.adapter is own.adapter}


def python_name(name: str) -> str:
    """A builder's name as in Python: ``mult-vae`` becomes ``mult_vae``.

    Raises:
        SettingError: not a text.
    """
    if not isinstance(name, str):
        raise SettingError(f"model={one_line(repr(name))}", expected="the name of a model")
    return str(name).replace("-", "_")


def command_name(name: str) -> str:
    """A builder's name as on the command line: ``mult_vae`` becomes ``mult-vae``."""
    return name.replace("_", "-")


def closest(name: str, known: Iterable[str]) -> str:
    """A question that suggests the most similar known name, or an empty text."""
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The most similar known name, or None."""
    near = difflib.get_close_matches(name, sorted(known), n=1) if isinstance(name, str) else []
    return near[0] if near else None


def _announced() -> Mapping[str, list[Announcement]]:
    """Metadata by plugin name, one for each distribution: the first one on the path is the one that Python imports."""
    found: dict[str, dict[str, Announcement]] = {}
    for point in entry_points(group=GROUP):
        title, release = _origin(point.dist)
        said = Announcement(point.name, title, release, point.value)
        found.setdefault(point.name, {}).setdefault(_normalized(title), said)
    return {name: list(by_distribution.values()) for name, by_distribution in found.items()}


def _origin(dist: Any) -> tuple[str, str]:
    # Once some package has imported importlib_metadata, distributions are those of that library.
    metadata: Any = dist.metadata if dist is not None else {}
    return str(metadata.get("Name") or "an unnamed distribution"), str(metadata.get("Version") or "unknown")


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _only(found: list[Announcement]) -> Announcement:
    if len(found) > 1:
        origins = " and ".join(f"{said.distribution} {said.version} ({said.value})" for said in found)
        raise NameClashError(
            f"the plugin name {found[0].name!r} is registered by {origins}",
            expected="one distribution for each name",
            remedy=f"pip uninstall {found[-1].distribution} (or another of them)",
        )
    return found[0]


def _missing(name: str) -> MissingPluginError:
    remedy = f'pip install --upgrade "isthmus[{name}]"' if name in FIRST_PARTY else closest(name, names())
    return MissingPluginError(
        f"no plugin {name!r} is installed", expected=f"one of: {', '.join(names()) or '(none)'}", remedy=remedy
    )


def saved_builder(name: str, plugin: str, path: object) -> isthmus.protocols.Builder:
    """The builder of the bundle at ``path``.

    Raises:
        BundleError: the installed plugin does not have it.
    """
    try:
        return find_builder(name, plugin)[1]
    except SettingError as error:
        raise BundleError(
            f"{str(path)!r} contains a model {name!r}, which the installed {plugin} plugin does not have",
            expected=error.expected,
            remedy="install the isthmus that saved it (isthmus info names the version)",
        ) from None


def _no_builder(name: str, plugin: str | None, known: set[str]) -> SettingError:
    shown = sorted(command_name(builder) for builder in known)
    where = f" in plugin {plugin!r}" if plugin is not None else ""
    return SettingError(
        f"no model {name!r}{where}",
        expected=f"one of: {', '.join(shown) or '(none)'}",
        remedy=closest(command_name(name), shown),
    )


def _not_importable(said: Announcement, origin: str, error: ImportError) -> PluginError:
    library = (error.name or "").partition(".")[0]
    own = said.value.partition(":")[0].partition(".")[0]
    if library in (own, "isthmus"):
        culprit = "it was made for another isthmus" if library == "isthmus" else "its announcement is wrong"
        return PluginError(f"{origin} cannot be imported: {error}", remedy=f"{culprit}: upgrade {said.distribution}")
    needed = f"the library {library!r}" if library else "a library"
    return MissingLibraryError(
        f"{origin} needs {needed}, which cannot be imported ({error})", remedy=f"pip install {_mends(said, library)}"
    )


def _mends(said: Announcement, library: str) -> str:
    """What to install: the extra that has the plugin's name or lists the library, otherwise the library."""
    try:
        dist = distribution(said.distribution)
    except PackageNotFoundError:
        return library or said.distribution
    extras = dist.metadata.get_all("Provides-Extra") or []
    listing = [line for line in dist.requires or [] if library and _normalized(line).startswith(_normalized(library))]
    marked = [extra for line in listing for extra in re.findall(r"extra == ['\"]([^'\"]+)['\"]", line)]
    for extra in (said.name, *marked):
        if extra in extras:
            return f'"{said.distribution}[{extra}]"'
    return f'--upgrade "{said.distribution}"' if listing or not library else library
