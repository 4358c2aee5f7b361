from __future__ import annotations

import math
import sys

import pytest

from isthmus.errors import InputError, MissingLibraryError
from isthmus.metrics.text import corpus_bleu, exact_match, perplexity


def test_bleu_by_hand():
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    # "a b c d e" for "a b c d f": 4/5 words, 3/4 pairs, 2/3 triples, 1/2 fours, no brevity penalty.
    by_hand = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)
    assert corpus_bleu(["a b c d e"], ["a b c d f"]) == pytest.approx(by_hand)
    # All right but one word short: the brevity penalty exp(1 − 5 / 4) alone.
    assert corpus_bleu(["a b c d"], ["a b c d e"]) == pytest.approx(100 * math.exp(1 - 5 / 4))
    assert corpus_bleu(["a b c d", "e f g h i"], ["a b c d", "e f g h i"]) == pytest.approx(100)
    # Counts are summed over the corpus, not averaged over texts: (4 + 4)/(4 + 5), (3 + 3)/(3 + 4), ...
    summed = 100 * (8 / 9 * 6 / 7 * 4 / 5 * 2 / 3) ** (1 / 4)
    assert corpus_bleu(["a b c d", "a b c d e"], ["a b c d", "a b c d f"]) == pytest.approx(summed)


def test_bleu_is_that_of_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    said = ["the cat sat on the mat .", "there is a dog, I think"]
    meant = ["the cat is on the mat .", "there was a dog , I think"]
    for tokenize in ("none", "13a"):
        theirs = sacrebleu.corpus_bleu(said, [meant], tokenize=tokenize, force=True).score
        assert corpus_bleu(said, meant, tokenize=tokenize) == pytest.approx(theirs)
    assert corpus_bleu(said, meant) != pytest.approx(corpus_bleu(said, meant, tokenize="13a"))


def test_bleu_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(MissingLibraryError, match=r"isthmus\[text\]"):
        corpus_bleu(["a"], ["a"])


def test_exact_match():
    assert exact_match(["a b", "c"], ["a b", "d"]) == 0.5
    assert exact_match([[1, 2], [3]], [[1, 2], [3]]) == 1.0


@pytest.mark.parametrize("metric", [corpus_bleu, exact_match])
@pytest.mark.parametrize(("said", "meant"), [([], []), (["a"], ["a", "b"])])
def test_texts_and_references_must_pair(metric, said, meant):
    with pytest.raises(InputError, match="as many of both"):
        metric(said, meant)


def test_perplexity():
    assert perplexity(20 * math.log(7), 20) == pytest.approx(7)
    # The published pair of an LSTM language model on PTB: 101.04 nats a sentence of 78,669 words and 3,761 ends.
    assert perplexity(101.04 * 3761, 78669 + 3761) == pytest.approx(100.5, abs=0.1)
    assert perplexity(1e6, 1) == math.inf
    with pytest.raises(InputError, match="0 tokens"):
        perplexity(1.0, 0)
