"""Names for groups of texts: the words that they have more often than others."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

MOST = 3
"""Words of a name."""

LONGEST = 60
"""Characters of a text that stands for words."""


class Namer:
    """Names texts among all texts.

    Args:
        texts: all of them.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._count, self._having = len(texts), Counter[str]()
        for text in texts:
            self._having.update(words(text))

    def name(self, texts: Sequence[str]) -> str:
        """The words with the largest p log(p / q), best first; p is the share of ``texts`` that have the word, q that
        of all texts. Where no two of several texts share a word, the first text.

        Args:
            texts: some of the texts, the most typical first.
        """
        if not texts:
            return ""
        own = Counter(word for text in texts for word in words(text))
        fewest = min(2, len(texts))
        scores = {word: self._score(word, count / len(texts)) for word, count in own.items() if count >= fewest}
        best = sorted((word for word in scores if scores[word] > 0), key=lambda word: (-scores[word], word))
        return ", ".join(best[:MOST]) or shortened(texts[0])

    def _score(self, word: str, p: float) -> float:
        return p * math.log(p * self._count / self._having[word])


def words(text: str) -> set[str]:
    """The words of a text, in lower case."""
    return set(WORD.findall(text.lower()))


def shortened(text: str) -> str:
    """A text of at most ``LONGEST`` characters."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"
