from __future__ import annotations

import numpy as np
import pytest
import tiny_bert
import torch

from isthmus.errors import SettingError
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.corrections.edits import Words, crossed, exchanged, shorter, swapped
from isthmus_text.corrections.judge import FLUENCY, Judge, Judged
from isthmus_text.corrections.search import corrected
from isthmus_text.evaluate import nats_per_token

TEXTS = [f"{a} {b} {c}" for a in ("the", "a", "red") for b in ("cat", "dog", "mat") for c in ("sat", "ran on", "in")]
HELD_OUT = ["big cat sat on the mat", "a big dog in the sun", "the sun ran"]
RUN = Run(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> TextAutoencoder:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_bert.bert().save_pretrained(folder)
    checkpoint = str(tiny_bert.save_tokenizer(folder))
    settings = {"hidden": 32, "layers": 1, "heads": 2, "slots": 2, "tokens": 64, "epochs": 20, "learning_rate": 5e-3}
    return TextAutoencoder.fit(
        [*TEXTS, "big sun"],
        "readable-embeddings",
        checkpoint=checkpoint,
        vocabulary=300,
        max_length=24,
        run=RUN,
        **settings,
    )


def judge_of(model: TextAutoencoder, texts: list[str]) -> Judge:
    return Judge(model.model, model.adapter, torch.from_numpy(model.encode(texts)))


def cosines(model: TextAutoencoder, one: list[str], other: list[str]) -> np.ndarray:
    first, second = (model.encode(texts) for texts in (one, other))
    return (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


def scores(model: TextAutoencoder, texts: list[str]) -> np.ndarray:
    judged = judge_of(model, HELD_OUT)(range(len(texts)), texts)
    return np.array([one.score for one in judged])


def test_the_score_is_the_cosine_and_the_likelihood(readable):
    source = readable.adapter.source(readable.model, readable._read(TEXTS))
    own = judge_of(readable, TEXTS)(range(len(TEXTS)), TEXTS)
    expected = 1 - FLUENCY * nats_per_token(readable.model, source).numpy()
    np.testing.assert_allclose([one.score for one in own], expected, atol=1e-4)
    (other,) = judge_of(readable, ["the cat sat"])([0], ["a dog in"])
    assert other.score < float(cosines(readable, ["the cat sat"], ["a dog in"])[0])


def test_corrections_come_nearer_than_what_they_start_from(readable):
    vectors = readable.encode(HELD_OUT)
    first = readable.decode(vectors, strategy="greedy")
    found = readable.decode(vectors, strategy="greedy", corrections=4)
    assert (scores(readable, found) >= scores(readable, first) - 1e-5).all()
    assert cosines(readable, found, HELD_OUT).mean() > cosines(readable, first, HELD_OUT).mean() + 0.01
    assert found == readable.decode(vectors, strategy="greedy", corrections=4)


def test_more_rounds_are_never_worse(readable):
    candidates = [["the"], ["a"], ["red"]]
    codes = torch.from_numpy(readable.encode(HELD_OUT))
    by_rounds = [
        scores(readable, corrected(readable.model, readable.adapter, codes, candidates, rounds)).mean()
        for rounds in (0, 1, 3)
    ]
    assert by_rounds[0] < by_rounds[1] <= by_rounds[2] + 1e-5


def test_without_rounds_the_best_candidate_is_given(readable):
    codes = torch.from_numpy(readable.encode(["the cat sat", "a dog in"]))
    candidates = [["red mat in", "the cat sat"], ["a dog in", "the mat"]]
    assert corrected(readable.model, readable.adapter, codes, candidates, 0) == ["the cat sat", "a dog in"]


def test_an_empty_text_is_corrected(readable):
    codes = torch.from_numpy(readable.encode(HELD_OUT))
    found = corrected(readable.model, readable.adapter, codes, [[""]] * 3, 2)
    assert scores(readable, found).mean() > scores(readable, [""] * 3).mean()


def test_small_changes(readable):
    judge = judge_of(readable, ["the cat sat"])
    (text,) = judge([0], ["the cat sat"])
    assert set(shorter(judge, text)) >= {"the sat", "the cat", "cat sat"}
    assert list(swapped("a b c")) == ["b a c", "a c b"]
    assert list(swapped("alone")) == []
    both = [Judged(one, (), text.code, 0.0) for one in ("a b c d e f", "u v w x y z")]
    assert next(crossed(both)) == "a b w x y z"
    assert list(crossed(both[:1])) == []


def test_the_first_changes_are_the_better_ones(readable):
    judge = judge_of(readable, HELD_OUT)
    words = Words.of(judge)
    starts = judge(range(3), ["the cat", "a dog", "red mat"])
    gains = []
    for row, likely in judge.log_probs(range(3), [text.ids for text in starts]):
        without = judge.codes(shorter(judge, starts[row]))
        some = list(exchanged(judge, words, starts[row], judge.targets[row], likely, without, 30))
        assert len(set(some)) > 30
        scored = [one.score for one in judge([row] * len(some), some)]
        gains.append((np.mean(scored[:20]), np.mean(scored[-20:]), max(scored[:20]), starts[row].score))
    first, last, best, before = np.mean(gains, axis=0)
    assert first > last
    assert best > before


def test_tokens_that_are_no_text_are_not_used(readable):
    tokenizer = readable.adapter.output.tokenizer
    words = Words.of(judge_of(readable, ["the cat"]))
    reserved = [tokenizer.end, *tokenizer.non_text_ids]
    half = tokenizer.encode(["é"])[0][0]
    assert not words.usable[[*reserved, half]].any()
    assert words.usable[tokenizer.encode(["a"])[0][0]]
    np.testing.assert_allclose(words.codes[words.usable].norm(dim=1), 1, atol=1e-5)


def test_what_corrections_refuse(readable):
    with pytest.raises(SettingError, match="corrections"):
        readable.decode(readable.encode(["the"]), corrections=-1)
    own = TextAutoencoder.fit(TEXTS, "sequence-autoencoder", code=16, epochs=1, vocabulary=300, run=RUN)
    with pytest.raises(SettingError, match="readable-embeddings"):
        own.reconstruct(["the cat"], corrections=1)
