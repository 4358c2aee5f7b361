"""Registry of approximate index kinds: those of FAISS, registered ones, and those that installed packages announce.

A package announces a kind as an entry point of the group ``isthmus.index_kinds``, whose name is that of the kind and
whose value is the ``IndexKind``. It is imported when an index of that kind is built or loaded, or when all kinds are
tried. FAISS itself is imported only then, too.
"""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint, entry_points

from isthmus.capabilities import missing_members
from isthmus.errors import NameClashError, PluginError, SettingError
from isthmus.index.kinds import IndexKind
from isthmus.index.vectors import Metric
from isthmus.plugins import closest
from isthmus.reprs import one_line

GROUP = "isthmus.index_kinds"

RESERVED = ("auto", "fastest", "exact")
"""Values of ``Index.build(kind=...)`` that are not names of approximate kinds."""

logger = logging.getLogger(__name__)
_registered: dict[str, IndexKind] = {}


def register(kind: IndexKind) -> None:
    """Register a kind in this process; registering the same object again has no effect.

    Raises:
        PluginError: not an ``IndexKind``.
        NameClashError: another kind has that name.
    """
    if lacking := missing_members(kind, IndexKind):
        raise PluginError(f"a {type(kind).__name__} without {lacking[0]}", expected="an isthmus.index.IndexKind")
    if kind.name in RESERVED or kind.name in _built_in() or _registered.get(kind.name, kind) is not kind:
        raise NameClashError(f"an index kind {kind.name!r} already exists", remedy="choose another name")
    _registered[kind.name] = kind


def unregister(name: str) -> None:
    """Remove a registered kind; an unknown name has no effect."""
    _registered.pop(name, None)


def find(name: str) -> IndexKind:
    """Find a kind by name.

    Raises:
        SettingError: an unknown name.
        PluginError: an announced kind that cannot be imported, or is not an ``IndexKind``.
    """
    known = {**_built_in(), **_registered}
    if isinstance(name, str) and name in known:
        return known[name]
    announced = _announced()
    if isinstance(name, str) and name in announced:
        return _load(announced[name])
    names = [*dict.fromkeys((*RESERVED, *known, *announced))]
    remedy = closest(name, names) or "import or install the package that registers it"
    raise SettingError(f"kind {one_line(repr(name))}", expected=f"one of {', '.join(names)}", remedy=remedy)


def tried(metric: Metric) -> list[IndexKind]:
    """All kinds that are tried for a metric, in order: those of FAISS, then registered, then announced kinds.

    A kind that cannot be imported is skipped, with a warning in the log.
    """
    known = {**_built_in(), **_registered}
    for name, point in sorted(_announced().items()):
        try:
            known.setdefault(name, _load(point))
        except PluginError as error:
            logger.warning("left out: %s", error)
    return [kind for kind in known.values() if metric in kind.metrics]


def _built_in() -> dict[str, IndexKind]:
    # Imported here because exact search must not need FAISS.
    from isthmus.index.faiss.index_kinds import INDEX_KINDS

    return {kind.name: kind for kind in INDEX_KINDS}


def _announced() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in RESERVED}


def _load(point: EntryPoint) -> IndexKind:
    try:
        kind: IndexKind = point.load()
    except Exception as error:
        raise PluginError(f"index kind {point.name!r} ({point.value}) cannot be imported: {error}") from error
    if missing_members(kind, IndexKind) or kind.name != point.name:
        raise PluginError(f"{point.value} yields {kind!r}", expected=f"an isthmus.index.IndexKind {point.name!r}")
    return kind
