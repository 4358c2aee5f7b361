"""A narrow place of whole numbers: the code is a sum of words, and what is kept are their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.core.residual import nearest_words, summed_words
from isthmus.errors import SettingError
from isthmus.protocols import Code


class ResidualQuantizer(nn.Module):
    """A residual-quantised bottleneck (Lee et al., "Autoregressive Image Generation Using Residual Quantization", CVPR
    2022) whose prefixes are codes of their own. The encoder's gradient passes straight through the quantiser (Bengio,
    Léonard & Courville 2013); codebooks get theirs from whatever is decoded.

    ``Code.notes``: "words" [batch stages], and "nested" [batch lengths code], the sums of the first words for each
    length in ``prefixes``. ``sample`` is the sum of all words.

    Args:
        code: dimensions of a word.
        stages: how many codebooks, and so how many words a code has.
        words: how many words a codebook has; 256 words make a stage one byte.
        prefixes: how many leading words make a code, ascending; the last is ``stages``.
        beams: partial sums kept while searching for words, in training; more train slower.

    Raises:
        SettingError: prefixes that do not ascend to ``stages``; words that a byte does not count.
    """

    def __init__(
        self, code: int, stages: int, prefixes: Sequence[int], *, generator: Generator, words: int = 256, beams: int = 1
    ) -> None:
        super().__init__()
        if list(prefixes) != sorted(set(prefixes)) or not prefixes or prefixes[0] < 1 or prefixes[-1] != stages:
            raise SettingError(f"prefixes {list(prefixes)}", expected=f"ascending numbers from 1, the last {stages}")
        if not 2 <= words <= 256:
            raise SettingError(f"{words} words", expected="2 to 256, so that a byte counts them")
        self.prefixes, self.beams = tuple(prefixes), beams
        self.codebooks = nn.Parameter(torch.empty(stages, words, code).normal_(generator=generator))

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """The nearest sum of words; nothing is random."""
        hidden = hidden.float()
        words = nearest_words(hidden, self.codebooks, self.beams)
        through = hidden - hidden.detach()
        nested = torch.stack([self.summed(words, length) + through for length in self.prefixes], 1)
        point = nested[:, -1]
        sample = point.repeat_interleave(samples, 0) if samples > 1 else point
        return Code(point, sample, None, {"words": words, "nested": nested})

    def words(self, hidden: Float[Tensor, "rows code"], stages: int, beams: int) -> Int64[Tensor, "rows stages"]:
        """Numbers of the words of the first ``stages`` codebooks."""
        return nearest_words(hidden, self.codebooks[:stages], beams)

    def summed(self, words: Int64[Tensor, "rows stages"], prefix: int | None = None) -> Float[Tensor, "rows code"]:
        """The code that the leading words stand for."""
        return summed_words(words, self.codebooks, prefix)
