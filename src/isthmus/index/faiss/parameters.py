"""The numbers that make a FAISS index and ask it, each with what it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from isthmus.errors import SettingError

POINTS_A_LIST = 39
"""With fewer training points than that for each list, k-means says that its centroids are poor."""

RANGES: Mapping[str, tuple[int, int]] = {
    "lists": (1, 1 << 24),
    "probes": (1, 1 << 24),
    "links": (2, 512),
    "building": (1, 1 << 16),
    "breadth": (1, 1 << 16),
    "widen": (1, 1 << 10),
    "seed": (0, (1 << 31) - 1),
}


@dataclass(frozen=True)
class Settings:
    """Of one index; a kind that has no use for a number ignores it.

    Attributes:
        lists: inverted lists.
        probes: inverted lists visited.
        links: links of a node of the graph.
        building: candidates kept while a graph is built.
        breadth: candidates kept, at least, while a graph is searched.
        widen: candidates for each answer, whose scores are computed again.
        seed: of k-means and rotation.
    """

    lists: int
    probes: int
    links: int = 32
    building: int = 128
    breadth: int = 128
    widen: int = 1
    seed: int = 0

    @classmethod
    def checked(cls, rows: int, *, lists: int | None = None, probes: int | None = None, **others: int) -> Settings:
        """Settings for so many rows: 4·√rows lists and a quarter of them as probes, if not given, and never more lists
        than the rows can train.

        Raises:
            SettingError: a number outside its range, or a name that is none.
        """
        unknown = sorted(others.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise SettingError(f"setting {unknown[0]!r}", expected=f"one of {', '.join(RANGES)}")
        lists = int(4 * rows**0.5) if lists is None else lists
        settings = cls(lists=lists, probes=-(-lists // 4) if probes is None else probes, **others)
        for name, value in asdict(settings).items():
            least, most = RANGES[name]
            if type(value) is not int or not least <= value <= most:
                raise SettingError(f"{name} is {value!r}", expected=f"a whole number from {least} to {most}")
        lists = min(settings.lists, max(1, rows // POINTS_A_LIST))
        return replace(settings, lists=lists, probes=min(settings.probes, lists))
