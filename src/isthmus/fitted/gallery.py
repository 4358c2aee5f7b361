"""Records that can be searched: what each is called, and the search over their codes. The records themselves stay where
they were."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import BundleError, InputError
from isthmus.index import Index
from isthmus.index.searchers import kind_for
from isthmus.index.vectors import Metric, check_metric


@dataclass(frozen=True)
class SearchHit:
    """One record that was found.

    Attributes:
        item: the record's name: a text itself, an image's path below its folder, or the row's number.
        row: its place in the gallery, from 0.
        score: a negative squared distance, a cosine or an inner product of codes; higher is nearer.
        label: what it is labelled, if anything.
    """

    item: str
    row: int
    score: float
    label: str | None = None


@dataclass(frozen=True, eq=False)
class Gallery:
    """Codes of records with their names, in the same order.

    Attributes:
        codes: one a record, float32.
        items: names of the records; None names them by row.
        labels: of the records, if they have any.
        metric: how codes are compared where ``search`` is not told: "l2", "cosine" or "ip".
    """

    codes: Float[Tensor, "rows code"]
    items: Sequence[str] | None = None
    labels: Sequence[str] | None = None
    metric: Metric = "l2"
    _indexes: dict[str, Index] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for what, given in (("names", self.items), ("labels", self.labels)):
            if given is not None and len(given) != len(self.codes):
                raise InputError(f"{len(given)} {what} with {len(self.codes)} codes", expected="one for each")

    def __len__(self) -> int:
        return len(self.codes)

    def search(self, queries: Float[Tensor, "batch code"], k: int, metric: str | None = None) -> list[list[SearchHit]]:
        """The nearest records of each query.

        Args:
            queries: codes.
            k: how many answers.
            metric: another than the gallery's own.

        Returns:
            One list a query, nearest first; shorter where the gallery is.

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
        return [
            [self._hit(int(row), score) for row, score in near] for near in self._indexes[chosen].search(queries, k)
        ]

    def _hit(self, row: int, score: float) -> SearchHit:
        item = str(row) if self.items is None else self.items[row]
        return SearchHit(item, row, score, None if self.labels is None else self.labels[row])


@dataclass(frozen=True)
class GalleryFormat:
    """How a gallery is kept in a bundle.

    Attributes:
        tensor: the name of its codes.
        document: the name of the document with the names; None where records have no names.
        labelled: whether that document is an object of names and labels, or just a list of names.
        metric: how the codes are compared.
    """

    tensor: str = "gallery.codes"
    document: str | None = "gallery.json"
    labelled: bool = True
    metric: Metric = "l2"

    def tensors(self, gallery: Gallery) -> dict[str, Tensor]:
        """What a bundle keeps as tensors."""
        return {self.tensor: gallery.codes.contiguous()}

    def documents(self, gallery: Gallery) -> dict[str, str]:
        """What a bundle keeps as text."""
        if self.document is None:
            return {}
        names = None if gallery.items is None else list(gallery.items)
        labels = None if gallery.labels is None else list(gallery.labels)
        kept = {"names": names, "labels": labels} if self.labelled else names
        return {self.document: json.dumps(kept, ensure_ascii=False)}

    def restore(self, documents: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Gallery | None:
        """The inverse of both; None where a bundle has no gallery.

        Raises:
            BundleError: names without codes, or numbers of names and codes that differ.
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
            raise BundleError(f"codes without {self.document}", expected="their names beside them")
        kept: Any = json.loads(text)
        names, labels = (kept["names"], kept["labels"]) if isinstance(kept, dict) else (kept, None)
        for given in (names, labels):
            if given is not None and not isinstance(given, list):
                raise BundleError(f"{self.document} with a {type(given).__name__}", expected="lists of names")
        return _texts(names), _texts(labels)


def _texts(given: list[Any] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(map(str, given))
