"""What ``search`` compares: the words of texts, their whitened codes, or their codes as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.fitted import FittedAutoencoder
from isthmus.fitted.gallery import Keys
from isthmus.fitted.whitening import Whitening
from isthmus_text.encode import encode
from isthmus_text.input_output import InputOutput
from isthmus_text.word_search import word_search


@final
class CodeSearch:
    """The texts of a gallery by their whitened codes. A cosine of 0 is that of two random training texts on average.

    Args:
        fitted: a model with a gallery.
        whitening: statistics of the codes of its training texts.
    """

    def __init__(self, fitted: FittedAutoencoder[InputOutput], whitening: Whitening) -> None:
        assert fitted.gallery is not None
        self._fitted, self._whitening = fitted, whitening
        self.gallery = whitening.gallery(fitted.gallery)

    def keys(self, records: Sequence[str]) -> Float[Tensor, "records code"]:
        """The whitened codes of queries."""
        return self._whitening(torch.from_numpy(encode(self._fitted.model, self._fitted.adapter.input, records)))


def search_keys(fitted: FittedAutoencoder[InputOutput]) -> Keys | None:
    """Words for encoders with ``token_vectors``, otherwise whitened codes; None, for codes as they are, without
    statistics: for embeddings of a pretrained encoder, which were trained to be compared by their cosine, and for
    bundles of earlier versions."""
    words = word_search(fitted)
    if words is not None or fitted.gallery is None or fitted.whitening is None:
        return words
    return CodeSearch(fitted, fitted.whitening)
