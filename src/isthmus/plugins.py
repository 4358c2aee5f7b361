"""Finds plugins by entry points of the group ``isthmus.adapters``; imports one when it is asked for by name.

Looking them up reads installed metadata only, a few milliseconds, and is done anew each time: what was installed a
moment ago is found. Python itself keeps what was imported.
"""

from __future__ import annotations

import difflib
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, entry_points
from typing import TYPE_CHECKING, Any

from isthmus.errors import (
    BundleError,
    MissingLibraryError,
    MissingPluginError,
    NameClashError,
    PluginError,
    SettingError,
)

if TYPE_CHECKING:
    import isthmus.protocols

GROUP = "isthmus.adapters"
FIRST_PARTY = ("images", "interactions", "text", "vectors")
"""Adapters of the isthmus distribution itself; each has a pip extra of its name."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Announcement:
    """What a distribution says about one of its plugins.

    Attributes:
        name: of the plugin, as in ``isthmus fit NAME``.
        distribution: that announces it, as pip calls it.
        version: of that distribution.
        value: ``module:attribute`` where it is found.
    """

    name: str
    distribution: str
    version: str
    value: str


def installed() -> list[Announcement]:
    """Every plugin that is installed, by name; none is imported.

    Raises:
        NameClashError: two distributions announce one name.
    """
    return [_only(found) for _, found in sorted(_announced().items())]


def names() -> list[str]:
    """The names of all installed plugins, those that clash included."""
    return sorted(_announced())


def announcement(name: str) -> Announcement:
    """What is announced under a name; nothing is imported.

    Raises:
        MissingPluginError: nothing is.
        NameClashError: two distributions announce the name.
    """
    found = _announced().get(name)
    if not found:
        raise _missing(name)
    return _only(found)


def load(name: str) -> isthmus.protocols.Plugin:
    """Import one plugin.

    Raises:
        MissingPluginError: no installed plugin has that name.
        NameClashError: two distributions announce the name.
        MissingLibraryError: a library that the plugin needs is not installed; the message names the remedy.
        PluginError: the plugin cannot be imported for another reason, or is no ``Plugin``.
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
    """Import every plugin that can be, or those of the given names; one that cannot is left out with a warning in the
    log."""
    loaded = {}
    for name in names() if among is None else sorted(among):
        try:
            loaded[name] = load(name)
        except PluginError as error:
            _log.warning("left out: %s", error)
    return loaded


def load_imported() -> dict[str, isthmus.protocols.Plugin]:
    """The plugins whose modules are imported already; none is imported that is not."""
    homes = {name: found[0].value.partition(":")[0] for name, found in _announced().items() if len(found) == 1}
    return load_all(name for name, home in homes.items() if home in sys.modules)


def find_builder(name: str, plugin: str | None = None) -> tuple[str, isthmus.protocols.Builder]:
    """A builder by its name, as in Python or with hyphens, among installed plugins.

    Args:
        name: such as ``mult_vae`` or ``mult-vae``.
        plugin: look only there, and in plugins of other distributions that add models to its adapter.

    Returns:
        The name of the plugin that has it, and the builder.

    Raises:
        SettingError: no such builder.
        NameClashError: several plugins have different builders of that name, and ``plugin`` does not say which.
        PluginError: the named plugin cannot be had.
    """
    wanted = python_name(name)
    plugins = load_all() if plugin is None else _over_one_adapter(plugin, wanted)
    having = {owner: loaded.builders[wanted] for owner, loaded in plugins.items() if wanted in loaded.builders}
    if not having:
        raise _no_builder(name, plugin, {known for loaded in plugins.values() for known in loaded.builders})
    owner, builder = next(iter(having.items()))
    if any(other is not builder for other in having.values()):
        raise NameClashError(
            f"builder {name!r} is offered by the plugins {', '.join(having)}", remedy="say which plugin"
        )
    return owner, builder


def _over_one_adapter(plugin: str, wanted: str) -> dict[str, isthmus.protocols.Plugin]:
    """The plugin; where it lacks a builder, also those of other distributions over the same adapter."""
    own = load(plugin)
    if wanted in own.builders:
        return {plugin: own}
    others = load_all(set(names()) - {*FIRST_PARTY, plugin})
    return {plugin: own} | {name: other for name, other in others.items() if other.adapter is own.adapter}


def python_name(name: str) -> str:
    """A builder's name as in Python: ``mult-vae`` becomes ``mult_vae``."""
    return name.replace("-", "_")


def command_name(name: str) -> str:
    """A builder's name as on the command line: ``mult_vae`` becomes ``mult-vae``."""
    return name.replace("_", "-")


def closest(name: str, known: Iterable[str]) -> str:
    """A question that offers the nearest known name, or nothing."""
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like a mistyped one; None where nothing is."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return near[0] if near else None


def _announced() -> Mapping[str, list[Announcement]]:
    """Announcements by plugin name, one for each distribution: the first on the path is the one that Python imports."""
    found: dict[str, dict[str, Announcement]] = {}
    for point in entry_points(group=GROUP):
        title, release = _origin(point.dist)
        said = Announcement(point.name, title, release, point.value)
        found.setdefault(point.name, {}).setdefault(_normalized(title), said)
    return {name: list(by_distribution.values()) for name, by_distribution in found.items()}


def _origin(dist: Distribution | None) -> tuple[str, str]:
    metadata: Any = dist.metadata if dist is not None else {}
    return str(metadata.get("Name") or "an unnamed distribution"), str(metadata.get("Version") or "unknown")


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _only(found: list[Announcement]) -> Announcement:
    if len(found) > 1:
        origins = " and ".join(f"{said.distribution} {said.version} ({said.value})" for said in found)
        raise NameClashError(
            f"the plugin name {found[0].name!r} is announced by {origins}",
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
    """The builder that a bundle at ``path`` names.

    Raises:
        BundleError: the installed plugin does not know it.
    """
    try:
        return find_builder(name, plugin)[1]
    except SettingError as error:
        raise BundleError(
            f"{str(path)!r} holds a model {name!r}, which the installed {plugin} plugin does not know",
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
    """What pip has to install: the extra that carries the plugin's name or lists the library, else the library."""
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
