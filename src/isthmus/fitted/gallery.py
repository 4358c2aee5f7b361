"""Galleries: names of records, and search over their codes. The records themselves are not stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol, cast, final, runtime_checkable

import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.answers import Answers, RankedList
from isthmus.errors import BundleError, InputError
from isthmus.fitted.random_pairs import RandomPairs
from isthmus.index import Index
from isthmus.index.searchers import kind_for
from isthmus.index.vectors import Metric, check_metric
from isthmus.reprs import counted, described


class SearchHit(NamedTuple):
    """A record found by a search.

    Attributes:
        item: name of the record: a text itself, the path of an image in its folder, or the number of a row.
        row: position in the gallery, from 0.
        score: negative squared distance, cosine or inner product of codes; higher is nearer.
        label: label of the record, if any.
    """

    item: str
    row: int
    score: float
    label: str | None = None


@final
@dataclass(frozen=True, eq=False, repr=False)
class FoundRecords(RankedList[SearchHit]):
    """The records nearest to one query: a sequence of ``SearchHit`` (item, row, score, label) that is also a table.

    Attributes:
        items: names of the records; for texts, the texts.
        rows: positions in the gallery, from 0.
        scores: negative squared distances, cosines or inner products of codes; higher is nearer.
        labels: labels of the records, None for records without one.
        percentiles: percentage of random pairs of records of the gallery that are less similar than the query and the
            record; None where there are no pairs. Tables have them as the column ``percentile``.
    """

    items: list[str]
    rows: list[int]
    scores: list[float]
    labels: list[str | None]
    percentiles: list[float | None]

    row_type: ClassVar[Any] = SearchHit

    def columns(self) -> tuple[Sequence[Any], ...]:
        """Items, rows, scores, labels and percentiles."""
        return self.items, self.rows, self.scores, self.labels, self.percentiles

    def column_types(self) -> Mapping[str, pa.DataType]:
        """The Arrow types of item, row, score, label and percentile."""
        return FOUND_TYPES

    def remarks(self) -> list[str]:
        """No remarks, because the columns are complete."""
        return []

    def _cut(self, places: slice) -> FoundRecords:
        rest = self.scores[places], self.labels[places], self.percentiles[places]
        return FoundRecords(self.items[places], self.rows[places], *rest)

    def _labels(self) -> Sequence[Any]:
        return self.items


FOUND_TYPES = {
    "item": pa.large_string(),
    "row": pa.int64(),
    "score": pa.float64(),
    "label": pa.large_string(),
    "percentile": pa.float64(),
}


@dataclass(frozen=True, eq=False, repr=False)
class Gallery:
    """Codes of records and their names, in the same order.

    Attributes:
        codes: one per record, float32.
        items: names of the records; None uses row numbers.
        labels: labels of the records, if any.
        metric: default metric of ``search``: "l2", "cosine" or "ip".
    """

    codes: Float[Tensor, "rows code"]
    items: Sequence[str] | None = None
    labels: Sequence[str] | None = None
    metric: Metric = "l2"
    _indexes: dict[str, Index] = field(default_factory=dict, repr=False)
    _pairs: dict[str, RandomPairs] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for what, given in (("names", self.items), ("labels", self.labels)):
            if given is not None and len(given) != len(self.codes):
                raise InputError(f"{len(given)} {what} with {len(self.codes)} codes", expected="one for each")

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        codes = f"codes of {counted(self.codes.shape[1], 'number')}"
        return described(self, f"{counted(len(self), 'record')}, {codes}, {self.metric}")

    def search(self, queries: Float[Tensor, "batch code"], k: int, metric: str | None = None) -> Answers[FoundRecords]:
        """Find the nearest records for each query.

        Args:
            queries: codes.
            k: number of results.
            metric: another metric than the gallery's own.

        Returns:
            The records found for each query, nearest first; fewer than k if the gallery has fewer.

        Raises:
            SettingError: ``k`` below 1, or an unknown metric.
            InputError: queries of another width.
        """
        chosen = self.metric if metric is None else metric
        check_metric(chosen)
        if chosen not in self._indexes:  # built at the first question
            self._indexes[chosen] = Index.build(
                self.codes, metric=cast(Metric, chosen), kind=kind_for(*self.codes.shape)
            )
        found = self._indexes[chosen].search(queries, k)
        pairs = self.random_pairs(chosen)
        return Answers([self._found(near.ids, near.scores.tolist(), pairs) for near in found], FOUND_TYPES)

    def random_pairs(self, metric: str | None = None) -> RandomPairs:
        """How similar random pairs of records are; computed once for each metric.

        Args:
            metric: another metric than the gallery's own.

        Raises:
            SettingError: an unknown metric.
        """
        chosen = self.metric if metric is None else metric
        check_metric(chosen)
        if chosen not in self._pairs:
            self._pairs[chosen] = RandomPairs(self.codes, cast(Metric, chosen))
        return self._pairs[chosen]

    def _found(self, ids: Sequence[Any], scores: list[float], pairs: RandomPairs) -> FoundRecords:
        rows = [int(row) for row in ids]
        items = [str(row) if self.items is None else self.items[row] for row in rows]
        labels = [None if self.labels is None else self.labels[row] for row in rows]
        return FoundRecords(items, rows, scores, labels, pairs.percentiles(scores))


@runtime_checkable
class Keys(Protocol):
    """Keys other than codes by which ``search`` compares records."""

    gallery: Gallery
    """The same records, with these keys as codes."""

    def keys(self, records: Any, /) -> Float[Tensor, "records key"]:
        """The keys of queries, in the same space as those of the gallery."""
        ...


@dataclass(frozen=True)
class GalleryFormat:
    """The format of a gallery in a bundle.

    Attributes:
        tensor: name of the tensor of codes.
        document: name of the document with the names; None if records have no names.
        labelled: whether that document is an object with names and labels, or just a list of names.
        metric: metric of the codes.
    """

    tensor: str = "gallery.codes"
    document: str | None = "gallery.json"
    labelled: bool = True
    metric: Metric = "l2"

    def tensors(self, gallery: Gallery) -> dict[str, Tensor]:
        """The tensors of a gallery in a bundle."""
        return {self.tensor: gallery.codes.contiguous()}

    def documents(self, gallery: Gallery) -> dict[str, str]:
        """The documents of a gallery in a bundle."""
        if self.document is None:
            return {}
        names = None if gallery.items is None else list(gallery.items)
        labels = None if gallery.labels is None else list(gallery.labels)
        kept = {"names": names, "labels": labels} if self.labelled else names
        return {self.document: json.dumps(kept, ensure_ascii=False)}

    def restore(self, documents: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Gallery | None:
        """The inverse of ``tensors`` and ``documents``; None if a bundle has no gallery.

        Raises:
            BundleError: names without codes, or different numbers of names and codes.
        """
        text, codes = documents.get(self.document or ""), tensors.get(self.tensor)
        if text is None and codes is None:
            return None
        names, labels = self._read(text)
        given = [some for some in (names, labels) if some is not None]
        shape = () if codes is None else tuple(codes.shape)
        if (
            codes is None
            or len(shape) != 2
            or codes.dtype != torch.float32
            or any(len(one) != len(codes) for one in given)
        ):
            raise BundleError(f"{len(names or ())} names with codes of shape {shape}", expected="one for each, fp32")
        return Gallery(codes, names, labels, self.metric)

    def _read(self, text: str | None) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        if text is None:
            if self.document is None:
                return None, None
            raise BundleError(f"codes without {self.document}", expected="codes with names")
        kept: Any = json.loads(text)
        names, labels = (kept["names"], kept["labels"]) if isinstance(kept, dict) else (kept, None)
        for given in (names, labels):
            if given is not None and not isinstance(given, list):
                raise BundleError(f"{self.document} with a {type(given).__name__}", expected="lists of names")
        return _texts(names), _texts(labels)


def _texts(given: list[Any] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(map(str, given))
