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
from isthmus.index.exact import ExactSearcher
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
    def searcher(self) -> ExactSearcher:
        """Every code is compared; built on first use."""
        return ExactSearcher.build(self.codes, "cosine")

    def search(self, queries: Float[Tensor, "batch code"], k: int) -> list[list[Found]]:
        """The ``k`` nearest texts for each query, nearest first; fewer where there are fewer."""
        near = self.searcher.search(queries, k)
        return [
            [Found(self.texts[row], row, score) for row, score in zip(rows, scores, strict=True) if row >= 0]
            for rows, scores in zip(near.rows.tolist(), near.scores.tolist(), strict=True)
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
