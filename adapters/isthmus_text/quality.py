"""Checks whether a text model reconstructs its inputs: greedily, for some held-out texts."""

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
"""Number of held-out texts that are reconstructed, evenly spaced."""

FEWEST = 8
"""Minimum number of texts for a check."""

LONG = 4
"""Minimum number of words for the check of repetitions."""

REPEATS = 0.5
"""Share of distinct words, relative to the texts themselves, below which a model is repetitive."""

ERRORS = 2.0
"""Number of standard errors by which reconstructions must be closer to their own texts than to others."""


def findings(model: Autoencoder, adapter: InputOutput, texts: Texts, codes: Codes | None) -> list[str | None]:
    """Problems of the texts that a model writes.

    Args:
        model: a trained model, in evaluation mode.
        adapter: adapters of encoder and decoder.
        texts: held-out texts.
        codes: codes of these texts, if they are known.

    Returns:
        Sentences; None for each check that passed.
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
    """Compares the words in common with the input text with those in common with another text, which frequent words or
    a common sentence would also have."""
    own = np.array([_overlap(one, other) for one, other in zip(written, meant, strict=True)])
    shift = len(meant) // 2
    others = np.array([_overlap(one, meant[(place + shift) % len(meant)]) for place, one in enumerate(written)])
    ahead = own - others
    if ahead.mean() > ERRORS * ahead.std(ddof=1) / np.sqrt(len(ahead)) and ahead.mean() > 0:
        return None
    return (
        f"what the model writes for {len(meant)} held-out texts has no more words in common with them "
        f"({own.mean():.1%}, F1) than with other texts ({others.mean():.1%}): the code is uninformative; "
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
    """F1 score of the words of two texts, 0 to 1."""
    first, second = one.split(), other.split()
    common = sum((Counter(first) & Counter(second)).values())
    return 2 * common / (len(first) + len(second)) if common else 0.0
