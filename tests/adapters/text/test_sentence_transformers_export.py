from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_bert import POSITIONS, TEXTS, WORDS, bert, config, save_tokenizer, tuned
from transformers import AutoModel, BertForMaskedLM, BertModel, T5Config, T5Model

from isthmus.errors import InputError, MissingLibraryError, SettingError, SourceError
from isthmus_text.integrations.sentence_transformers_export import to_sentence_transformers
from isthmus_text.pretrained.checkpoints import MINILM_LENGTH, describe, minilm_folder


@pytest.fixture
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("words"))


def loaded(folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@torch.no_grad()
def by_hand(model: BertModel, text: str, pooling: str, normalise: bool, max_length: int) -> np.ndarray:
    """One text at a time, so nothing is padded."""
    ids = [WORDS.index(word) if word in WORDS else WORDS.index("[UNK]") for word in text.split()]
    ids = [WORDS.index("[CLS]"), *ids[: max_length - 2], WORDS.index("[SEP]")]
    state = model.eval()(input_ids=torch.tensor([ids])).last_hidden_state[0]
    vector = {"mean": state.mean(0), "first": state[0], "max": state.max(0).values}[pooling]
    return (vector / vector.norm() if normalise else vector).numpy()


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "first", "max"])
def test_loads_with_equal_vectors(tmp_path: Path, words: Path, pooling: str, normalise: bool) -> None:
    model = bert()
    folder = to_sentence_transformers(
        tmp_path / "out", model, words, max_length=7, pooling=pooling, normalise=normalise
    )
    expected = [by_hand(model, text, pooling, normalise, 7) for text in TEXTS]
    np.testing.assert_allclose(loaded(folder).encode(TEXTS), expected, atol=1e-5)


def test_a_lone_tokenizer_file_is_enough(tmp_path: Path, words: Path) -> None:
    model = bert()
    whole = to_sentence_transformers(tmp_path / "whole", model, words, max_length=POSITIONS)
    lone = to_sentence_transformers(tmp_path / "lone", model, words / "tokenizer.json", max_length=POSITIONS)
    np.testing.assert_array_equal(loaded(whole).encode(TEXTS), loaded(lone).encode(TEXTS))


def test_of_a_model_with_a_head_the_encoder_is_written(tmp_path: Path, words: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        model = BertForMaskedLM(config())
    tuned(model)
    folder = to_sentence_transformers(tmp_path / "out", model, words, max_length=9)
    expected = [by_hand(model.bert, text, "mean", True, 9) for text in TEXTS]
    np.testing.assert_allclose(loaded(folder).encode(TEXTS), expected, atol=1e-5)


def test_minilm_gives_its_published_vectors(tmp_path: Path) -> None:
    place = minilm_folder()
    texts = ["A cat sits on the mat.", "", "Ünïcödé façade ☃", "many words " * 150]
    folder = to_sentence_transformers(
        tmp_path / "out", AutoModel.from_pretrained(place), place, max_length=MINILM_LENGTH
    )
    np.testing.assert_allclose(loaded(folder).encode(texts), loaded(place).encode(texts), atol=1e-5)


def test_what_is_written(tmp_path: Path, words: Path) -> None:
    folder = to_sentence_transformers(tmp_path / "deep" / "out", bert(), words, max_length=7, pooling="first")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files >= {"modules.json", "1_Pooling/config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert {Path(name).suffix for name in files} == {".json", ".safetensors", ".md"}
    assert (folder / "2_Normalize").is_dir()
    assert not [name for name in files if str(tmp_path) in (folder / name).read_text("utf-8", errors="replace")]
    assert json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"] == 7
    again = describe(str(folder))
    assert (again.max_length, again.pooling, again.normalise) == (7, "first", True)


def test_the_model_stays_as_it_is(tmp_path: Path, words: Path) -> None:
    model = bert().train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    state = torch.random.get_rng_state()
    to_sentence_transformers(tmp_path / "out", model, words, max_length=7)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_stands_there_is_never_touched(tmp_path: Path, words: Path, kind: str) -> None:
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
        (target / "mine").touch()
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="exists"):
        to_sentence_transformers(target, bert(), words, max_length=7)
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_nothing(tmp_path: Path, words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bert()

    def full(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(model, "save_pretrained", full)
    with pytest.raises(OSError, match="disk full"):
        to_sentence_transformers(tmp_path / "out", model, words, max_length=7)
    assert not list(tmp_path.iterdir())


def test_a_length_that_the_model_cannot_read(tmp_path: Path, words: Path) -> None:
    for max_length in [2, 0, POSITIONS + 1]:
        with pytest.raises(SettingError, match=f"max_length={max_length}"):
            to_sentence_transformers(tmp_path / "out", bert(), words, max_length=max_length)


def test_a_model_with_a_decoder_is_refused(tmp_path: Path, words: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        model = T5Model(T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    with pytest.raises(SettingError, match="T5Model"):
        to_sentence_transformers(tmp_path / "out", model, words, max_length=7)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="30522"):
        to_sentence_transformers(tmp_path / "out", bert(), minilm_folder(), max_length=7)


def test_without_a_padding_token_nothing_is_written(tmp_path: Path, words: Path) -> None:
    model = bert()
    model.config.pad_token_id = None
    with pytest.raises(SettingError, match="padding"):
        to_sentence_transformers(tmp_path / "out", model, words / "tokenizer.json", max_length=7)


def test_a_tokenizer_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no tokenizer at"):
        to_sentence_transformers(tmp_path / "out", bert(), tmp_path / "none", max_length=7)
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{")
    with pytest.raises(SourceError, match="cannot be read"):
        to_sentence_transformers(tmp_path / "out", bert(), broken, max_length=7)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="cannot be read"):
        to_sentence_transformers(tmp_path / "out", bert(), tmp_path / "empty", max_length=7)


def test_an_unknown_pooling(tmp_path: Path, words: Path) -> None:
    export = to_sentence_transformers
    while hasattr(export, "__wrapped__"):
        export = export.__wrapped__
    with pytest.raises(SettingError, match="'last'"):
        export(tmp_path / "out", bert(), words, max_length=7, pooling="last")  # type: ignore[arg-type]


def test_without_transformers_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "isthmus_text.integrations.sentence_transformers_export")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingLibraryError, match=r'pip install "isthmus\[text\]"'):
        importlib.import_module("isthmus_text.integrations.sentence_transformers_export")
