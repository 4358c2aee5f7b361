"""Images that can be searched: their names, and the index over their codes. The pixels stay where they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import BundleError
from isthmus.index import Index
from isthmus.index.searchers import kind_for

CODES = "gallery.codes"
NAMES = "gallery.json"


@dataclass(frozen=True)
class Found:
    """One image that was found.

    Attributes:
        name: as it was read: the path below its folder, or the place in its array.
        row: its place among the images that were indexed.
        score: the squared distance of the codes, negated: 0 at most; higher is nearer.
        label: what it was labelled, if anything.
    """

    name: str
    row: int
    score: float
    label: str | None = None


@dataclass(frozen=True, eq=False)
class Gallery:
    """Names in the order of their codes."""

    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    codes: Float[Tensor, "rows code"]

    @cached_property
    def index(self) -> Index:
        """Over the codes, whose ids are their rows; built on first use."""
        return Index.build(self.codes, metric="l2", kind=kind_for(*self.codes.shape))

    def search(self, queries: Float[Tensor, "batch code"], k: int) -> list[list[Found]]:
        """The ``k`` nearest images for each query, nearest first; fewer where there are fewer."""
        return [[self._found(int(row), score) for row, score in near] for near in self.index.search(queries, k)]

    def _found(self, row: int, score: float) -> Found:
        return Found(self.names[row], row, score, None if self.labels is None else self.labels[row])

    def documents(self) -> dict[str, str]:
        """What a bundle keeps as text."""
        return {NAMES: json.dumps({"names": self.names, "labels": self.labels}, ensure_ascii=False)}

    def tensors(self) -> dict[str, Tensor]:
        """What a bundle keeps as tensors."""
        return {CODES: self.codes.contiguous()}

    @classmethod
    def restored(cls, documents: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Gallery | None:
        """The inverse of ``documents`` and ``tensors``; None where nothing was indexed.

        Raises:
            BundleError: names without codes, or as many of one as not of the other.
        """
        if NAMES not in documents and CODES not in tensors:
            return None
        kept = json.loads(documents.get(NAMES, '{"names": [], "labels": null}'))
        codes = tensors.get(CODES, torch.zeros(0, 0))
        names, labels = kept["names"], kept["labels"]
        fits = len(names) == len(codes) and (labels is None or len(labels) == len(names))
        if not fits or codes.ndim != 2 or codes.dtype != torch.float32:
            raise BundleError(f"{len(names)} names with codes of shape {tuple(codes.shape)}", expected="one for each")
        return cls(tuple(map(str, names)), None if labels is None else tuple(map(str, labels)), codes)
