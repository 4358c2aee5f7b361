"""Small changes of a text that may bring its embedding nearer to a given one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isthmus.errors import SettingError
from isthmus.reprs import brief
from isthmus_text.corrections.judge import FLUENCY, Judge, Judged

SHARE = 0.35
"""Length of a new token's embedding beside that of the rest of the text, which has length 1."""

MORE = 6
"""How many times as many places and tokens are looked at as are asked for, because some give a text that is known."""


@brief
@dataclass(frozen=True, eq=False)
class Words:
    """Every token of the decoder as a text of its own.

    Attributes:
        codes: their embeddings, of length 1.
        usable: which of them are text: not the end, padding or a part of a character.
    """

    codes: Float[Tensor, "vocabulary code"]
    usable: Bool[Tensor, " vocabulary"]

    @classmethod
    def of(cls, judge: Judge) -> Words:
        """Embed every token."""
        tokenizer = judge.adapter.output.tokenizer
        reserved = {tokenizer.end, *tokenizer.non_text_ids}
        ids = [id_ for id_ in range(tokenizer.vocabulary) if id_ not in reserved]
        texts = [text.strip() for text in tokenizer.decode_batch([[id_] for id_ in ids])]
        known = [(id_, text) for id_, text in zip(ids, texts, strict=True) if text and "\ufffd" not in text]
        if not known:
            raise SettingError("corrections with a vocabulary without words", expected="a tokenizer with words")
        places = torch.tensor([id_ for id_, _ in known], device=judge.targets.device)
        codes = judge.targets.new_zeros(tokenizer.vocabulary, judge.targets.shape[1])
        codes[places] = judge.codes([text for _, text in known])
        usable = torch.zeros(len(codes), dtype=torch.bool, device=codes.device)
        usable[places] = True
        return cls(codes, usable)


def shorter(judge: Judge, text: Judged) -> list[str]:
    """The text without one of its tokens, for each of them."""
    rows = [text.ids[:place] + text.ids[place + 1 : -1] for place in range(len(text.ids) - 1)]
    return [one.strip() for one in judge.adapter.output.tokenizer.decode_batch(rows)]


def swapped(text: str) -> Iterator[str]:
    """The text with two neighbouring words exchanged, for each pair."""
    words = text.split(" ")
    for place in range(len(words) - 1):
        yield " ".join([*words[:place], words[place + 1], words[place], *words[place + 2 :]])


def crossed(texts: Sequence[Judged]) -> Iterator[str]:
    """The beginning of one text with the rest of another, at a third, a half and two thirds of both."""
    cut = [text.text.split(" ") for text in texts]
    for first in cut:
        for second in cut:
            if first is not second and min(len(first), len(second)) > 2:
                for share in (1 / 3, 1 / 2, 2 / 3):
                    yield " ".join(first[: round(share * len(first))] + second[round(share * len(second)) :])


def exchanged(
    judge: Judge,
    words: Words,
    text: Judged,
    target: Float[Tensor, " code"],
    likely: Float[Tensor, "tokens vocabulary"],
    without: Float[Tensor, "content code"],
    most: int,
) -> Iterator[str]:
    """The text with a token replaced, or with one more, the most promising first.

    The embedding of a text with the token v in the place of another is taken for that of the text without the other,
    plus ``SHARE`` times that of v alone; only the candidates chosen by it are embedded. The likelihood of v after the
    tokens before it counts as in the score.

    Args:
        judge, words: score texts, and know the tokens.
        text: the text.
        target: the embedding that is wanted, of length 1.
        likely: log-probabilities of all tokens at each place of the text.
        without: embeddings of the text without each of its tokens.
        most: about how many.
    """
    ids = torch.tensor(text.ids, device=likely.device)
    content, weight = len(ids) - 1, FLUENCY / len(ids)
    own = likely.gather(1, ids[:, None])
    near = words.codes @ target
    replaced = _cosines(without, target, words, near) + weight * (likely[:content] - own[:content])
    added = _cosines(text.code[None], target, words, near) + weight * (likely - own.mean())
    gains = torch.cat([replaced, added]).masked_fill(~words.usable, -torch.inf)
    rows = (_with(text.ids[:-1], *divmod(place, gains.shape[1])) for place in _largest(gains, MORE * most))
    yield from _decoded(judge, rows)


def _cosines(
    rest: Float[Tensor, "places code"], target: Tensor, words: Words, near: Float[Tensor, " vocabulary"]
) -> Float[Tensor, "places vocabulary"]:
    """Of target and rest + ``SHARE`` · word."""
    inner = (rest @ target)[:, None] + SHARE * near
    lengths = 1 + 2 * SHARE * (rest @ words.codes.T) + SHARE**2
    return inner / lengths.clamp(min=1e-6).sqrt()


def _largest(gains: Tensor, count: int) -> list[int]:
    found: list[int] = gains.flatten().topk(min(count, gains.numel())).indices.tolist()
    return found


def _with(ids: tuple[int, ...], place: int, token: int) -> tuple[int, ...]:
    """With a token in the place of another, or from ``len(ids)`` on, before the token of that place."""
    if place < len(ids):
        return (*ids[:place], token, *ids[place + 1 :])
    place -= len(ids)
    return (*ids[:place], token, *ids[place:])


def _decoded(judge: Judge, rows: Iterable[tuple[int, ...]]) -> Iterator[str]:
    yield from (text.strip() for text in judge.adapter.output.tokenizer.decode_batch(list(rows)))
