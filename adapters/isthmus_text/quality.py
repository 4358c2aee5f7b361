"""Whether a text model writes back what it read: greedily, for some held-out texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.fitted import quality
from isthmus_text.decode import decode
from isthmus_text.encode import Codes, encode
from isthmus_text.input_output import InputOutput
from isthmus_text.texts import Texts

SAMPLE = 48
"""Held-out texts that are written back, evenly spaced ones."""

FEWEST = 8
"""With fewer texts nothing is said."""

LONG = 4
"""Words from which on repetition is counted."""

REPEATS = 0.5
"""Of the share of distinct words in the texts themselves: a model that stays below it writes the same words again."""

ERRORS = 2.0
"""Standard errors by which a model must be nearer to its own texts than to others."""


def findings(model: Autoencoder, adapter: InputOutput, texts: Texts, codes: Codes | None) -> list[str | None]:
    """What is wrong with the texts that a model writes, if anything.

    Args:
        model: trained, in evaluation mode.
        adapter: of what it reads and writes.
        texts: held-out ones.
        codes: of these texts, where they are known.

    Returns:
        Sentences; None for what was not found.
    """
    rows = np.unique(np.linspace(0, len(texts) - 1, min(SAMPLE, len(texts))).round().astype(np.int64))
    meant = list(texts.select(rows))
    if len(meant) < FEWEST:
        return []
    some = encode(model, adapter.input, meant) if codes is None else codes[rows]
    found = torch.from_numpy(np.array(some))
    written = decode(model, adapter, found, "greedy", 0)
    return [quality.same_codes(found.flatten(1)), _unrelated(written, meant), _repetitive(written, meant)]


def _unrelated(written: Sequence[str], meant: Sequence[str]) -> str | None:
    """Words in common with the text that was read, against words in common with another one: what a sentence that is
    common in the data, or frequent words, would reach too."""
    own = np.array([_overlap(one, other) for one, other in zip(written, meant, strict=True)])
    shift = len(meant) // 2
    others = np.array([_overlap(one, meant[(place + shift) % len(meant)]) for place, one in enumerate(written)])
    ahead = own - others
    if ahead.mean() > ERRORS * ahead.std(ddof=1) / np.sqrt(len(ahead)) and ahead.mean() > 0:
        return None
    return (
        f"what the model writes for {len(meant)} held-out texts has no more words in common with them "
        f"({own.mean():.1%}, F1) than with other texts ({others.mean():.1%}): the code says nothing of the text; "
        f"{quality.MORE}, with a larger code, or with a smaller beta"
    )


def _repetitive(written: Sequence[str], meant: Sequence[str]) -> str | None:
    said = [len(set(words)) / len(words) for words in map(str.split, written) if len(words) >= LONG]
    own = [len(set(words)) / len(words) for words in map(str.split, meant) if len(words) >= LONG]
    if not said or not own or 2 * len(said) < len(written) or np.mean(said) >= REPEATS * np.mean(own):
        return None
    return (
        f"the model writes the same words again and again: {np.mean(said):.0%} of the words of a text that it writes "
        f"are distinct, against {np.mean(own):.0%} in the held-out texts; {quality.MORE}"
    )


def _overlap(one: str, other: str) -> float:
    """F1 of the words of two texts, 0 to 1."""
    first, second = one.split(), other.split()
    common = sum((Counter(first) & Counter(second)).values())
    return 2 * common / (len(first) + len(second)) if common else 0.0
