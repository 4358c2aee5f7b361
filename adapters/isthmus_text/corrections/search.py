"""Corrects texts in rounds: the best ones are changed a little, what scores higher is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.core.autoencoder import Autoencoder
from isthmus_text.corrections.edits import Words, crossed, exchanged, shorter, swapped
from isthmus_text.corrections.judge import Judge, Judged
from isthmus_text.input_output import InputOutput

KEPT = 1
"""Texts of each embedding that are changed in a round; with two, as many texts in all come less near."""

PARENTS, CROSSED = 4, 8
"""Texts whose beginnings and ends are joined, and the most of such texts in a round."""

EXCHANGED = 30
"""Texts with another or one more token, of each text that is changed."""

TOGETHER = 64
"""Embeddings that are searched for together; their log-probabilities are kept for a round."""


@torch.no_grad()
def corrected(
    model: Autoencoder,
    adapter: InputOutput,
    codes: Float[Tensor, "n code"],
    candidates: Sequence[Sequence[str]],
    rounds: int,
) -> list[str]:
    """Search for texts with these embeddings.

    This is for the purpose of the corrections of Morris et al. (EMNLP 2023), who train a second model for them: it sees
    the text so far, its embedding and the wanted one. Here the same three decide which tokens may be wrong or lacking
    (see ``edits``), and the encoder decides what is kept. Nothing is drawn at random.

    Args:
        model: model in evaluation mode, with a pretrained encoder.
        adapter: adapters of encoder and decoder.
        codes: an embedding for each text that is wanted.
        candidates: texts to start from, at least one for each.
        rounds: number of rounds; each embeds about 50 texts for each text of 8 words that is wanted.

    Returns:
        The text with the highest score for each, see ``Judged``.
    """
    codes = codes.to(next(model.parameters()).device)
    words = Words.of(Judge(model, adapter, codes))
    found: list[str] = []
    for start in range(0, len(codes), TOGETHER):
        some = codes[start : start + TOGETHER]
        search = _Search(Judge(model, adapter, some), words, [_Pool() for _ in some])
        search.add((row, text) for row in range(len(some)) for text in candidates[start + row])
        for _ in range(rounds):
            search.round()
        found += [pool.best(1)[0].text for pool in search.pools]
    return found


@dataclass(eq=False)
class _Pool:
    """What is known of one embedding: its texts, and for some the embeddings without one token."""

    texts: dict[str, Judged] = field(default_factory=dict)
    without: dict[str, Float[Tensor, "content code"]] = field(default_factory=dict)

    def best(self, count: int) -> list[Judged]:
        """The first of equal ones comes first."""
        return sorted(self.texts.values(), key=lambda text: -text.score)[:count]


@dataclass(eq=False)
class _Search:
    judge: Judge
    words: Words
    pools: list[_Pool]

    def add(self, texts: Iterable[tuple[int, str]]) -> None:
        """Score texts that are new."""
        new = [(row, text) for row, text in dict.fromkeys(texts) if text not in self.pools[row].texts]
        if new:
            rows, some = zip(*new, strict=True)
            for row, text in zip(rows, self.judge(rows, some), strict=True):
                self.pools[row].texts[text.text] = text

    def round(self) -> None:
        """Change the best texts of each embedding."""
        states = [(row, text) for row, pool in enumerate(self.pools) for text in pool.best(KEPT)]
        self._take_tokens_away([(row, text) for row, text in states if text.text not in self.pools[row].without])
        self.add(self._changed(states))

    def _take_tokens_away(self, states: Sequence[tuple[int, Judged]]) -> None:
        parts = [(row, text, shorter(self.judge, text)) for row, text in states]
        self.add((row, one) for row, _, some in parts for one in some)
        self.add((row, one) for row, text in states for one in swapped(text.text))
        for row, text, some in parts:
            pool = self.pools[row]
            codes = [pool.texts[one].code for one in some]
            pool.without[text.text] = torch.stack(codes) if codes else self.judge.targets[:0]

    def _changed(self, states: Sequence[tuple[int, Judged]]) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        rows, texts = zip(*states, strict=True)
        for place, likely in self.judge.log_probs(rows, [text.ids for text in texts]):
            row, text = rows[place], texts[place]
            without = self.pools[row].without[text.text]
            some = exchanged(self.judge, self.words, text, self.judge.targets[row], likely, without, EXCHANGED)
            found += self._new(row, some, EXCHANGED)
        for row, pool in enumerate(self.pools):
            found += self._new(row, crossed(pool.best(PARENTS)), CROSSED)
        return found

    def _new(self, row: int, texts: Iterable[str], most: int) -> list[tuple[int, str]]:
        known = self.pools[row].texts
        return list(islice(((row, text) for text in dict.fromkeys(texts) if text not in known), most))
