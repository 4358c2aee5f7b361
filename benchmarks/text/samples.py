"""How good drawn sentences are: an n-gram model that was not trained with the drawing one, and BLEU among themselves.

``Trigrams`` is interpolated Kneser-Ney smoothing with one discount for each order (Chen & Goodman, "An Empirical Study
of Smoothing Techniques for Language Modeling", Computer Speech & Language 13(4), 1999).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from isthmus.metrics.text import perplexity

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Lower-case words and marks."""
    return WORD.findall(text.lower())


class Trigrams:
    """p(w | u v) = max(c(u v w) − D, 0) / c(u v) + D · types(u v ·) / c(u v) · p(w | v), and likewise for pairs and
    words with the numbers of different words before them in place of counts.

    Args:
        texts: what it is trained on; words that occur once stand for unknown ones.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        rows = [words(text) for text in texts]
        often = Counter(word for row in rows for word in row)
        self._known = {word for word, count in often.items() if count > 1} | {END}
        triples: Counter[tuple[str, str, str]] = Counter()
        for row in rows:
            marked = self._marked(row)
            triples.update(zip(marked, marked[1:], marked[2:], strict=False))
        pairs = Counter(triple[1:] for triple in triples)
        self._orders = (
            _Order(triples),
            _Order(pairs),
            _Order(Counter((pair[1],) for pair in pairs)),
        )

    def nats(self, text: str) -> tuple[float, int]:
        """−log p of a text with its end, and the number of words that this counts."""
        marked = self._marked(words(text))
        found = [-math.log(self._chance(marked[at - 2 : at + 1])) for at in range(2, len(marked))]
        return math.fsum(found), len(found)

    def perplexity(self, texts: Iterable[str]) -> float:
        """Of a word of some texts, ends included; lower is more like the texts that it was trained on."""
        found = [self.nats(text) for text in texts]
        return perplexity(math.fsum(nats for nats, _ in found), sum(count for _, count in found))

    def _marked(self, row: Sequence[str]) -> tuple[str, ...]:
        return (START, START, *(word if word in self._known else UNKNOWN for word in row), END)

    def _chance(self, gram: tuple[str, ...]) -> float:
        chance = 1 / (len(self._known) + 1)
        for order in reversed(self._orders):
            chance = order.chance(gram[len(gram) - order.length :], chance)
        return chance


class _Order:
    """Counts of one length."""

    def __init__(self, grams: Counter[tuple[str, ...]]) -> None:
        self.length = len(next(iter(grams)))
        self._grams = grams
        self._totals: Counter[tuple[str, ...]] = Counter()
        self._types: Counter[tuple[str, ...]] = Counter()
        for gram, count in grams.items():
            self._totals[gram[:-1]] += count
            self._types[gram[:-1]] += 1
        once, twice = (sum(count == times for count in grams.values()) for times in (1, 2))
        self._discount = once / (once + 2 * twice) if once else 0.5

    def chance(self, gram: tuple[str, ...], shorter: float) -> float:
        """p of the last word after the others, given that of the shorter order."""
        total = self._totals.get(gram[:-1], 0)
        if not total:
            return shorter
        seen = max(self._grams.get(gram, 0) - self._discount, 0)
        return (seen + self._discount * self._types[gram[:-1]] * shorter) / total


def self_bleu(texts: Sequence[str]) -> float:
    """BLEU-4 of texts with all others as references (Zhu et al., "Texygen", SIGIR 2018), 0 to 100: high where texts
    repeat each other."""
    from sacrebleu.metrics.bleu import BLEU

    plain = [" ".join(words(text)) for text in texts]
    shifted = [[*plain[by:], *plain[:by]] for by in range(1, len(plain))]
    return float(BLEU(tokenize="none", force=True).corpus_score(plain, shifted).score)
