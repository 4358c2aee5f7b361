"""What ``search`` compares: the words of texts or their codes, centred and whitened with the statistics of the training
texts, which the bundle keeps.

On the validation captions of multi30k, a small model finds 28.3 % of the other captions of an image among the ten
nearest by whitened words, 21.5 % by words as they are, 6.4 % by whitened codes and 4.3 % by codes as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.fitted import FittedAutoencoder, Gallery, Whitening
from isthmus.fitted.gallery import Keys
from isthmus_text.encode import encode
from isthmus_text.input_output import InputOutput
from isthmus_text.search.words import word_search
from isthmus_text.texts import Texts


@final
class CodeSearch:
    """The texts of a gallery by their codes.

    Args:
        fitted: a model.
        gallery: its texts.
    """

    def __init__(self, fitted: FittedAutoencoder[InputOutput], gallery: Gallery) -> None:
        self._fitted, self.gallery = fitted, gallery

    def keys(self, records: Sequence[str]) -> Float[Tensor, "records code"]:
        """The codes of queries."""
        return torch.from_numpy(encode(self._fitted.model, self._fitted.adapter.input, records))


@final
class WhitenedSearch:
    """Other keys, whitened: a cosine of 0 is that of two random training texts on average.

    Args:
        inner: the keys.
        whitening: their statistics over the training texts.
    """

    def __init__(self, inner: Keys, whitening: Whitening) -> None:
        self._inner, self._whitening = inner, whitening
        self.gallery = whitening.gallery(inner.gallery)

    def keys(self, records: Sequence[str]) -> Float[Tensor, "records key"]:
        """The whitened keys of queries."""
        return self._whitening(self._inner.keys(records))


def search_keys(fitted: FittedAutoencoder[InputOutput]) -> Keys | None:
    """Words for encoders with ``token_vectors``, otherwise codes, whitened where the bundle has the statistics. None,
    for codes as they are, of pretrained encoders, whose embeddings were trained to be compared by their cosine, and
    for bundles of earlier versions."""
    words: Keys | None = word_search(fitted)
    if fitted.gallery is None or fitted.whitening is None:
        return words
    return WhitenedSearch(words or CodeSearch(fitted, fitted.gallery), fitted.whitening)


def fit_whitening(
    fitted: FittedAutoencoder[InputOutput], texts: Texts, codes: Float[Tensor, "texts code"]
) -> Whitening | None:
    """The statistics of what ``search`` compares.

    Args:
        fitted: a model.
        texts: training texts.
        codes: their codes.

    Returns:
        The statistics; None for pretrained encoders and for too few texts.
    """
    if "checkpoint" in fitted.settings:
        return None
    words = word_search(replace(fitted, gallery=Gallery(codes, texts)))
    return Whitening.fit(codes if words is None else words.gallery.codes)
