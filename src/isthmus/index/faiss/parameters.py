"""Build and search settings of FAISS indexes, with their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypedDict, Unpack, cast

from isthmus.errors import SettingError

NARROW = 64
"""Up to this number of dimensions, fewer lists and fewer links of a graph are faster at equal recall. Measured with
the leading principal components of Fashion-MNIST's training images, 50,000 searched for 2,000 others: with 32 and 64
numbers, 2 · √rows lists answered up to 35 % more queries a second than 4 · √rows at recalls from .8 to .99, with 128
numbers sometimes fewer."""

POINTS_A_LIST = 39
"""Minimum number of training points per list; with fewer, FAISS's k-means warns about poor centroids."""

RANGES: Mapping[str, tuple[int, int]] = {
    "lists": (1, 1 << 24),
    "probes": (1, 1 << 24),
    "links": (2, 512),
    "building": (1, 1 << 16),
    "breadth": (1, 1 << 16),
    "widen": (1, 1 << 10),
    "seed": (0, (1 << 31) - 1),
}


class Keywords(TypedDict, total=False):
    """The settings as keywords; see ``FaissSettings``. None stands for the default."""

    lists: int | None
    probes: int | None
    links: int | None
    building: int | None
    breadth: int | None
    widen: int | None
    seed: int | None


@dataclass(frozen=True)
class SearchSettings:
    """Settings that trade recall for speed in a search; None for those that a kind does not use.

    Attributes:
        probes: inverted lists visited (``nprobe``).
        breadth: candidates kept while a graph is walked (``efSearch``).
        widen: candidates for each answer, whose scores are computed again.
    """

    probes: int | None = None
    breadth: int | None = None
    widen: int | None = None

    def given(self) -> dict[str, int]:
        """Those that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class FaissSettings:
    """Settings of one index; a kind ignores those that it does not use.

    Attributes:
        lists: inverted lists (``nlist``).
        probes: inverted lists visited (``nprobe``).
        links: links of a node of the graph (M of the HNSW paper).
        building: candidates kept while a graph is built (``efConstruction``).
        breadth: candidates kept, at least, while a graph is searched (``efSearch``).
        widen: candidates for each answer, whose scores are computed again.
        seed: seed of k-means and rotation.
    """

    lists: int
    probes: int
    links: int = 32
    building: int = 128
    breadth: int = 128
    widen: int = 1
    seed: int = 0

    @classmethod
    def checked(cls, rows: int, **given: Unpack[Keywords]) -> FaissSettings:
        """Settings for a number of rows. By default there are 4·√rows lists, a quarter of which are probed; there are
        never more lists than the rows can train.

        Raises:
            SettingError: a number outside its range, or an unknown name.
        """
        unknown = sorted(given.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise SettingError(f"setting {unknown[0]!r}", expected=f"one of {', '.join(RANGES)}")
        numbers = {name: value for name, value in given.items() if value is not None}
        for name, value in numbers.items():
            least, most = RANGES[name]
            if type(value) is not int or not least <= value <= most:
                raise SettingError(f"{name} is {value!r}", expected=f"a whole number from {least} to {most}")
        whole = cast(dict[str, int], numbers)
        lists = whole.pop("lists", max(1, int(4 * rows**0.5)))
        probes = whole.pop("probes", -(-lists // 4))
        lists = min(lists, max(1, rows // POINTS_A_LIST))
        return replace(cls(lists, min(probes, lists)), **whole)

    @classmethod
    def restored(cls, rows: int, saved: Mapping[str, Any]) -> FaissSettings:
        """``checked`` for the settings in a manifest.

        Raises:
            SettingError: as ``checked`` does.
        """
        return cls.checked(rows, **cast(Keywords, dict(saved)))

    def with_lists(self, lists: int) -> FaissSettings:
        """The same with another number of lists, of which the same share is visited."""
        return replace(self, lists=lists, probes=max(1, round(self.probes * lists / self.lists)))

    def searching(self, settings: SearchSettings) -> FaissSettings:
        """The same with other search settings.

        Raises:
            SettingError: a number outside its range.
        """
        for name, value in settings.given().items():
            least, most = RANGES[name]
            if not least <= value <= most:
                raise SettingError(f"{name} is {value!r}", expected=f"a whole number from {least} to {most}")
        changed = replace(self, **settings.given())
        return replace(changed, probes=min(changed.probes, changed.lists))
