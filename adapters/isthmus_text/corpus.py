"""Texts that can be searched: they, and the index over their codes."""

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
from isthmus_text.texts import Texts

CODES = "corpus.codes"
TEXTS = "corpus.json"


@dataclass(frozen=True)
class Found:
    """One text that was found.

    Attributes:
        text: as it was indexed.
        row: its place in the corpus.
        score: cosine of the codes, from -1 to 1; higher is nearer.
    """

    text: str
    row: int
    score: float


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts in the order of their codes.

    Attributes:
        texts: what answers.
        codes: one for each of them.
    """

    texts: Texts
    codes: Float[Tensor, "rows code"]

    @cached_property
    def index(self) -> Index:
        """Over the codes, whose ids are their rows; built on first use."""
        return Index.build(self.codes, metric="cosine", kind=kind_for(*self.codes.shape))

    def search(self, queries: Float[Tensor, "batch code"], k: int) -> list[list[Found]]:
        """The ``k`` nearest texts for each query, nearest first; fewer where there are fewer."""
        return [
            [Found(self.texts[int(row)], int(row), score) for row, score in near]
            for near in self.index.search(queries, k)
        ]

    def documents(self) -> dict[str, str]:
        """What a bundle keeps as text."""
        return {TEXTS: json.dumps(list(self.texts), ensure_ascii=False)}

    def tensors(self) -> dict[str, Tensor]:
        """What a bundle keeps as tensors."""
        return {CODES: self.codes.contiguous()}

    @classmethod
    def restored(cls, documents: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Corpus | None:
        """The inverse of ``documents`` and ``tensors``; None where nothing was indexed.

        Raises:
            BundleError: texts without codes, or as many of one as not of the other.
        """
        if TEXTS not in documents and CODES not in tensors:
            return None
        texts, codes = json.loads(documents.get(TEXTS, "[]")), tensors.get(CODES, torch.zeros(0, 0))
        if not isinstance(texts, list) or len(texts) != len(codes) or codes.ndim != 2 or codes.dtype != torch.float32:
            raise BundleError(f"{len(texts)} texts with codes of shape {tuple(codes.shape)}", expected="one for each")
        return cls(Texts.read(texts), codes)
