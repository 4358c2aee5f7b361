"""The outside judge of drawn sentences: chances that sum to one, and scores that tell sentences from shuffled words."""

import pytest

from benchmarks.text.samples import END, UNKNOWN, Trigrams, self_bleu, words

TEXTS = [
    f"the {who} {does} a {what} ." for who in ("cat", "dog") for does in ("sees", "eats") for what in ("fish", "egg")
]


def test_chances_sum_to_one_after_anything():
    judge = Trigrams(TEXTS)
    known = {word for text in TEXTS for word in words(text)} | {END, UNKNOWN}
    for before in (("the", "cat"), ("a", "the"), (UNKNOWN, UNKNOWN)):
        assert sum(judge._chance((*before, word)) for word in known) == pytest.approx(1)


def test_sentences_are_likelier_than_the_same_words_shuffled():
    judge = Trigrams(TEXTS)
    assert judge.perplexity(["the cat eats a egg ."]) < 4
    assert judge.perplexity(["egg the . cat a eats"]) > 10
    assert judge.nats("unheard of")[1] == 3, "the end counts"


def test_repeated_texts_have_a_higher_self_bleu():
    pytest.importorskip("sacrebleu")
    assert self_bleu(["a cat sees the fish"] * 3) == pytest.approx(100)
    assert self_bleu(["a cat sees the fish", "my dog has eaten it today", "one bird and another one sing"]) < 20
