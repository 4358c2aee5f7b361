"""Metrics of reconstructed texts. BLEU ranges from 0 to 100, as in publications; exact matches are a share of 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isthmus.errors import InputError, MissingLibraryError


def corpus_bleu(said: Sequence[str], meant: Sequence[str], *, tokenize: str = "none") -> float:
    """BLEU-4 of a whole corpus with one reference per text, 0 to 100, higher is better (Papineni et al. 2002; Post
    2018).

    Args:
        said: texts that a model wrote.
        meant: the references, in the same order.
        tokenize: a tokenizer of sacrebleu. "none" splits at spaces; "13a", sacrebleu's default, first separates
            punctuation. Results of different tokenizers cannot be compared.

    Returns:
        The score.

    Raises:
        InputError: no texts, or not one reference for each.
        MissingLibraryError: sacrebleu is not installed.
    """
    _check(said, meant)
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise MissingLibraryError(
            f"BLEU needs the library {error.name!r}, which cannot be imported", remedy='pip install "isthmus[text]"'
        ) from error
    # force: suppress the warning about tokenised texts, which are intended here.
    return float(BLEU(tokenize=tokenize, force=True).corpus_score(list(said), [list(meant)]).score)


def exact_match(said: Sequence[object], meant: Sequence[object]) -> float:
    """The share of texts, or rows of ids, that equal their reference: 0 to 1.

    Raises:
        InputError: no texts, or not one reference for each.
    """
    _check(said, meant)
    return sum(one == other for one, other in zip(said, meant, strict=True)) / len(said)


def perplexity(nats: float, tokens: int) -> float:
    """exp(nats / tokens), lower is better.

    Args:
        nats: negative log-likelihood of all texts together.
        tokens: number of tokens of all texts, including end tokens but no start tokens. Only perplexities over the same
            tokens can be compared.

    Raises:
        InputError: no tokens.
    """
    if tokens < 1:
        raise InputError(f"{tokens} tokens", expected="at least one")
    try:
        return math.exp(nats / tokens)
    except OverflowError:
        return math.inf


def _check(said: Sequence[object], meant: Sequence[object]) -> None:
    if not said or len(said) != len(meant):
        raise InputError(f"{len(said)} texts and {len(meant)} references", expected="as many of both, at least one")
