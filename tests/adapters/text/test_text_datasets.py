"""The bundled sentences, and the data of ISTHMUS_DATA where they are: the counts are the published ones."""

from __future__ import annotations

from collections import Counter

import pytest

from isthmus.datafolder import dataset_path
from isthmus.errors import SettingError, SourceError
from isthmus_text import datasets


def needs(name):
    try:
        dataset_path(name)
        reason = ""
    except SourceError as absent:
        reason = str(absent)
    return pytest.mark.skipif(bool(reason), reason=reason)


def test_the_demo_is_bundled(monkeypatch):
    for part, count in [("train", 12_544), ("dev", 2_001), ("test", 2_077)]:
        monkeypatch.setenv("ISTHMUS_DATA", "absent")
        sentences = datasets.demo_sentences(part)
        assert len(sentences.texts) == len(sentences.genres) == len(sentences.names) == count
        assert set(Counter(sentences.genres)) == {"answers", "email", "newsgroup", "reviews", "weblog"}
        assert sentences.texts.empty == 0
        assert all(name.startswith(genre) for name, genre in zip(sentences.names, sentences.genres, strict=True))


def test_the_examples_of_wordnet_are_bundled(monkeypatch):
    monkeypatch.setenv("ISTHMUS_DATA", "absent")
    examples = list(datasets.wordnet_examples())
    assert len(set(examples)) == len(examples) == 40_720
    assert {len(text.split()) for text in examples} == set(range(3, 13))


def test_parts_that_do_not_exist():
    for read in [datasets.demo_sentences, datasets.ptb, datasets.multi30k_captions, datasets.stsb]:
        with pytest.raises(SettingError, match="part='all'"):
            read("all")


@needs("ptb")
def test_ptb():
    for part, count, words in [("valid", 3_370, 70_390), ("test", 3_761, 78_669)]:
        texts = datasets.ptb(part)
        assert len(texts) == count
        assert sum(len(text.split()) for text in texts) == words
        assert texts[0] == texts[0].strip()


@pytest.mark.slow
@needs("multi30k-captions")
def test_multi30k():
    for part, count in [("train", 145_000), ("val", 5_070), ("test_2016", 5_000)]:
        assert len(datasets.multi30k_captions(part)) == count


@needs("stsb")
def test_stsb():
    for part, count in [("train", 5_749), ("dev", 1_500), ("test", 1_379)]:
        pairs = datasets.stsb(part)
        assert len(pairs.first) == len(pairs.second) == len(pairs.scores) == count
        assert 0 <= pairs.scores.min() < pairs.scores.max() <= 5
        assert pairs.first.empty == pairs.second.empty == 0
