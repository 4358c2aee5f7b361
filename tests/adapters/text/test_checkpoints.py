from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_bert
import torch
from scipy.stats import spearmanr

from isthmus.errors import InputError, MissingLibraryError, SettingError, SourceError
from isthmus_text import datasets
from isthmus_text.input_output import checkpoint_adapter, pretrained_vectors
from isthmus_text.pretrained import checkpoints
from isthmus_text.pretrained.checkpoints import Checkpoint, check_saved, describe, pretrained_encoder
from isthmus_text.pretrained.configuration import architecture


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    tiny_bert.bert().save_pretrained(folder)
    return tiny_bert.save_tokenizer(folder)


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def modules(*kinds: str) -> list[dict[str, str]]:
    return [{"type": f"sentence_transformers.models.{kind}", "path": f"1_{kind}"} for kind in kinds]


def test_what_is_known_of_a_plain_checkpoint(saved):
    known = Checkpoint.read(saved)
    assert (known.start, known.end, known.max_length) == (2, 3, tiny_bert.POSITIONS)
    assert (known.pooling, known.normalise) == ("mean", False)
    assert describe(json.loads(json.dumps(known.to_json()))) == known


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "first"),
    ],
)
def test_files_of_sentence_transformers_are_followed(saved, pooling, expected):
    write(saved, "modules.json", modules("Transformer", "Pooling", "Normalize"))
    write(saved, "1_Pooling/config.json", pooling)
    write(saved, "sentence_bert_config.json", {"max_seq_length": 9})
    known = Checkpoint.read(saved)
    assert (known.pooling, known.normalise, known.max_length) == (expected, True, 9)
    assert checkpoint_adapter(str(saved)).max_length == 8


@pytest.mark.parametrize(
    ("kinds", "pooling"),
    [
        (["Transformer", "Pooling"], {"pooling_mode_max_tokens": True}),
        (["Transformer", "Pooling"], {"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}),
        (["Transformer", "Pooling", "Dense"], {"pooling_mode_mean_tokens": True}),
        (["Transformer"], {}),
    ],
)
def test_what_cannot_be_followed_is_refused(saved, kinds, pooling):
    write(saved, "modules.json", modules(*kinds))
    write(saved, "1_Pooling/config.json", pooling)
    with pytest.raises(SourceError, match="pooling"):
        Checkpoint.read(saved)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(SourceError, match=name.split(".")[-1]):
        pretrained_encoder(str(saved), frozen=True)


def test_weights_that_do_not_fit_are_never_replaced_by_random_ones(saved):
    config = json.loads((saved / "config.json").read_text())
    write(saved, "config.json", config | {"num_hidden_layers": 3})
    with pytest.raises(SourceError, match="missing"):
        pretrained_encoder(str(saved), frozen=True)
    write(saved, "config.json", config | {"hidden_size": 32})
    with pytest.raises(SourceError, match="cannot be read"):
        pretrained_encoder(str(saved), frozen=True)
    write(saved, "config.json", config)
    (saved / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(SourceError, match="cannot be read"):
        pretrained_encoder(str(saved), frozen=True)


def test_damaged_files(saved):
    (saved / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(SourceError, match=r"config\.json"):
        Checkpoint.read(saved)
    write(saved, "config.json", {"model_type": "bert"})
    with pytest.raises(SourceError, match="hidden_size"):
        pretrained_encoder(str(saved), frozen=True)
    write(saved, "tokenizer.json", {})
    with pytest.raises((SourceError, InputError)):
        Checkpoint.read(saved)


def test_the_weights_arrive_and_the_global_state_stays(saved):
    before = torch.random.get_rng_state()
    encoder = pretrained_encoder(str(saved), frozen=False)
    assert torch.equal(torch.random.get_rng_state(), before)
    expected = tiny_bert.bert().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in encoder.backbone.state_dict().items())
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_what_stands_for_a_directory_makes_the_same_shapes(saved):
    before = torch.random.get_rng_state()
    drawn = pretrained_encoder(Checkpoint.read(saved).to_json(), frozen=True)
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.device("meta"):
        sketch = pretrained_encoder(str(saved), frozen=True)
    shapes = {name: tensor.shape for name, tensor in pretrained_encoder(str(saved), frozen=True).state_dict().items()}
    assert {name: tensor.shape for name, tensor in drawn.state_dict().items()} == shapes
    assert {name: tensor.shape for name, tensor in sketch.state_dict().items()} == shapes
    assert all(tensor.is_meta for tensor in sketch.state_dict().values())


def test_a_mapping_of_something_else():
    with pytest.raises(SettingError, match="checkpoint"):
        describe({"path": "x"})


def test_without_transformers(saved, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingLibraryError, match="text"):
        checkpoints.pretrained_encoder(str(saved), frozen=True)


def test_minilm_gives_the_vectors_of_sentence_transformers():
    folder = checkpoints.minilm_folder()
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    texts = ["A man is eating.", "", "word " * 400, "Ein Satz, naïve – 漢字"]
    expected = library.SentenceTransformer(str(folder), device="cpu").encode(texts)
    found = pretrained_vectors(texts)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.slow
@pytest.mark.skipif("CI" in os.environ, reason="the STS benchmark is not shipped")
def test_minilm_on_the_sts_benchmark():
    try:
        pairs = datasets.stsb("test")
    except SourceError as error:
        pytest.skip(f"no STS benchmark: {error}")
    first, second = (pretrained_vectors(texts) for texts in (pairs.first, pairs.second))
    found = spearmanr((first * second).sum(1), pairs.scores).statistic
    assert found == pytest.approx(0.8203, abs=0.0005)


WRONG = {
    "auto_map": {"AutoConfig": "code.py"},
    "hidden_act": "os.system",
    "num_hidden_layers": 2**31,
    "vocab_size": -1,
    "hidden_dropout_prob": float("nan"),
    "layer_norm_eps": "0",
    "position_embedding_type": "kernels-community/x",
    "model_type": "llama",
}


@pytest.mark.parametrize("key", WRONG)
def test_a_configuration_cannot_choose_code_or_any_size(key: str):
    foreign = {"attn_implementation": "kernels-community/flash-attn", "_name_or_path": "/etc"}
    plain = tiny_bert.config().to_dict() | foreign
    assert architecture(plain).keys() & {"attn_implementation", "_name_or_path", "transformers_version"} == set()
    if key == "auto_map":
        assert key not in architecture(plain | {key: WRONG[key]})
    else:
        with pytest.raises(SettingError, match="expected"):
            architecture(plain | {key: WRONG[key]})


def test_what_a_bundle_says_of_its_checkpoint_is_no_path(saved: Path):
    known = Checkpoint.read(saved).to_json()
    check_saved({"checkpoint": known})
    check_saved({"layers": 2})
    for wrong in (str(saved), "minilm", None, {**known, "start": -1}, {**known, "longest": 2**40}, {"config": {}}):
        with pytest.raises(SettingError):
            check_saved({"checkpoint": wrong})


def test_a_checkpoint_whose_settings_would_be_lost_is_refused(saved: Path, tmp_path: Path):
    shutil.copytree(saved, tmp_path / "odd")
    written = json.loads((tmp_path / "odd" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "odd" / "config.json").write_text(json.dumps(written | {"model_type": "esm", "token_dropout": True}))
    with pytest.raises(SettingError, match="esm"):
        Checkpoint.read(tmp_path / "odd")
    (tmp_path / "odd" / "config.json").write_text("[" * 100_000)
    with pytest.raises(SourceError, match="cannot be read"):
        Checkpoint.read(tmp_path / "odd")
