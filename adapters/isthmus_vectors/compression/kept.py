"""Measures and plots the quality of codes of each length on training vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.index.vectors import normalised
from isthmus.plots import Missing, Panel
from isthmus.plots.drawing import BLUE, VERMILION, Axes, finish
from isthmus.sources import even_rows
from isthmus_vectors.compression.code_search import Codes

ROWS = 1000
"""Maximum number of measured vectors, evenly spaced among the training vectors."""

NEAREST = 10
"""Number of neighbours for the recall."""

WORDS = 256
"""Number of values of a byte."""

NAMES = ("cosine", "recall", "words")
"""Names of the lists that ``measured`` returns."""

OLD = "the compressor was saved by a version that did not measure it: fit it again"

Decode = Callable[[Codes], Float[Tensor, "rows width"]]


def sample_of(vectors: Float[Tensor, "rows width"]) -> Float[Tensor, "some width"]:
    """The vectors that are measured."""
    return vectors[even_rows(len(vectors), ROWS)]


@torch.no_grad()
def measured(vectors: Float[Tensor, "some width"], codes: Codes, decode: Decode) -> dict[str, list[float]]:
    """Measure codes of each length, from the leading byte alone to all bytes.

    Args:
        vectors: vectors of any norm, since only directions are kept.
        codes: codes of the vectors.
        decode: function from codes to vectors of length 1.

    Returns:
        Three lists with a number for each byte: ``cosine``, the mean cosine of vector and decoded vector (1 is best);
        ``recall``, the share of the true nearest neighbours that a search of the codes finds (1 is best; empty for
        fewer than twelve vectors); ``words``, how many of the values of the byte are in use.
    """
    whole = normalised(vectors)
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    near = _neighbours(whole, whole) if len(whole) > NEAREST + 1 else None
    for size in range(1, codes.shape[1] + 1):
        decoded = decode(codes[:, :size])
        found["cosine"].append(float((whole * decoded).sum(1).mean()))
        found["words"].append(float(len(np.unique(codes[:, size - 1]))))
        if near is not None:
            same = near[:, :, None] == _neighbours(whole, decoded)[:, None, :]
            found["recall"].append(float(same.any(2).float().mean()))
    return found


def panels(kept: Mapping[str, Any] | None) -> list[Panel | Missing]:
    """The panels of a compressor.

    Args:
        kept: result of ``measured``; None if it was not measured.
    """
    if not kept:
        return [Missing("what is kept", OLD), Missing("values of the bytes", OLD)]
    return [
        Panel("what is kept", partial(_draw_kept, cosine=kept["cosine"], recall=kept["recall"])),
        Panel("values of the bytes", partial(_draw_words, words=kept["words"])),
    ]


def _neighbours(asked: Tensor, among: Tensor) -> Tensor:
    scores = asked @ among.T
    scores.fill_diagonal_(-torch.inf)
    return scores.topk(NEAREST, dim=1).indices


def _draw_kept(axes: Axes, cosine: Sequence[float], recall: Sequence[float]) -> None:
    sizes = range(1, len(cosine) + 1)
    marker = "." if len(cosine) <= 32 else None
    axes.plot(sizes, cosine, color=BLUE, marker=marker, label="cosine of vector and decoded vector")
    if recall:
        axes.plot(sizes, recall, color=VERMILION, marker=marker, label=f"recall@{NEAREST} of a search")
    axes.set_ylim(min(0.0, *cosine), 1.02)
    axes.xaxis.get_major_locator().set_params(integer=True)
    finish(axes, "What codes of each length keep", "bytes of a code", "mean cosine, and share found; 1 is best")
    axes.legend(fontsize="x-small", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2)


def _draw_words(axes: Axes, words: Sequence[float]) -> None:
    axes.bar(range(1, len(words) + 1), words, color=BLUE, width=0.8)
    axes.set_xlim(0.4, len(words) + 0.6)
    axes.set_ylim(0, 1.05 * WORDS)
    axes.set_yticks(range(0, WORDS + 1, 64))
    axes.xaxis.get_major_locator().set_params(integer=True)
    finish(axes, f"Values in use, of {WORDS}", "byte of the code", "values; more is better", grid="y")
