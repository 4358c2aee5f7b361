"""Texts as rows of tokens: the contract that every adapter keeps, and what is this one's own."""

from __future__ import annotations

import json
import logging

import pytest
import torch

from isthmus.batch import Tokens
from isthmus.errors import BundleError, InputError, SettingError
from isthmus.testing.adapter import AdapterContract
from isthmus_text import adapter as adapting
from isthmus_text.adapter import TextAdapter
from isthmus_text.texts import Texts
from isthmus_text.tokens.tokenizer import Tokenizer

SENTENCES = ["the cat sat on the mat", "the dog sat on the log", "", "a much longer sentence about cats and dogs"]


class TestTextAdapter(AdapterContract):
    adapter = TextAdapter

    def records(self) -> Texts:
        return Texts.read(SENTENCES)

    def foreign(self) -> Texts:
        return Texts.read(["Ünseen 🙂 </s>", "the zebra " * 300])


def test_it_is_exported_by_the_package():
    import isthmus_text

    assert isthmus_text.TextAdapter is TextAdapter
    assert isthmus_text.Texts is Texts
    assert isthmus_text.Tokenizer is Tokenizer
    with pytest.raises(AttributeError, match="Nothing"):
        isthmus_text.Nothing  # noqa: B018


def test_texts_in_texts_out():
    adapter = TextAdapter.fit(SENTENCES)
    tokens = adapter.prepare(SENTENCES).batch(torch.arange(4)).inputs
    rows = [ids[mask].tolist() for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]
    assert adapter.tokenizer.decode_batch(rows) == SENTENCES
    assert rows[2] == [adapter.tokenizer.end]
    assert adapter.max_length == max(map(len, rows))
    assert adapter.signal == Tokens(adapter.tokenizer.vocabulary, adapter.max_length)


def test_settings_of_the_fit(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(SENTENCES))
    words = TextAdapter.fit(TextAdapter.read(path), kind="word", size=9, max_length=4)
    assert words.tokenizer.kind == "word"
    assert words.signal == Tokens(9, 4)
    same = TextAdapter.fit(SENTENCES, tokenizer=words.tokenizer)
    assert same.tokenizer is words.tokenizer
    assert same.max_length == 9
    with pytest.raises(SettingError, match="max_length=1"):
        TextAdapter.fit(SENTENCES, max_length=1)


def test_a_length_chosen_by_itself_has_a_limit(monkeypatch):
    monkeypatch.setattr(adapting, "MAX_LENGTH", 5)
    assert TextAdapter.fit(["a b c d e f g h"], kind="word").max_length == 5
    assert TextAdapter.fit(["a"], kind="word").max_length == 2
    monkeypatch.setattr(adapting, "SAMPLE", 1)
    assert TextAdapter.fit(["a b", "a b c d"], kind="word").max_length == 3


def test_what_is_lost_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        adapter = TextAdapter.fit(SENTENCES, kind="word", size=5, max_length=4)
    assert "1 of 4 texts are empty" in caplog.text
    assert "decodes 25.0 % of 4 texts exactly" in caplog.text
    with caplog.at_level(logging.WARNING):
        source = adapter.prepare(SENTENCES)
    assert "3 of 4 texts are longer than 4 tokens" in caplog.text
    assert source.store.truncated == 3
    assert source.lengths.tolist() == [4, 4, 1, 4]


def test_byte_pairs_say_nothing(caplog):
    adapter = TextAdapter.fit([text for text in SENTENCES if text])
    adapter.prepare(SENTENCES)
    assert not caplog.text


def test_byte_pairs_that_lose_something_are_refused():
    # A pre-tokenizer that throws spaces away, as a mishandled document would have it.
    trained = Tokenizer.train(Texts.read(SENTENCES), "bpe", 300)
    document = json.loads(trained.to_json())
    document["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [{"type": "WhitespaceSplit"}, document["pre_tokenizer"]],
    }
    lossy = Tokenizer.from_json(json.dumps(document), trained.facts())
    with pytest.raises(InputError, match=r"25\.0%"):
        TextAdapter.fit(SENTENCES, tokenizer=lossy)


def test_nothing_to_learn_from():
    for texts in ([], ["", ""]):
        with pytest.raises(InputError, match="empty"):
            TextAdapter.fit(texts)


def test_no_texts_are_no_rows():
    assert len(TextAdapter.fit(SENTENCES).prepare([])) == 0


def test_states_that_do_not_fit():
    state = TextAdapter.fit(SENTENCES).state()
    with pytest.raises(BundleError, match=r"no text\.json"):
        TextAdapter.restore({"tokenizer.json": state["tokenizer.json"]})
    about = json.loads(state["text.json"])
    changed = [{**about, "longest": 0}, {**about, "longest": "x"}, {**about, "end": 10**6}, {"longest": 3}, [], 3]
    for wrong in [*map(json.dumps, changed), "{"]:
        with pytest.raises(BundleError, match="do not fit"):
            TextAdapter.restore({**state, "text.json": wrong})
    with pytest.raises(BundleError, match="do not fit"):
        TextAdapter.restore({**state, "tokenizer.json": "{}"})
