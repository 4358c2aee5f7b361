from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_bert
import torch

import isthmus
from isthmus.errors import InputError, SettingError
from isthmus.sources import VectorSource
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder, to_static_embedding
from isthmus_text.input_output import checkpoint_adapter, pretrained_vectors
from isthmus_text.pretrained.cached_vectors import PairedSource
from isthmus_text.static.builder import static_embeddings
from isthmus_text.static.encoder import LARGEST, PackedEncoder, StaticEncoder
from isthmus_text.static.teacher import basis_of, frequency_weights, teacher_of

TEXTS = [f"{a} {b} {c}" for a in ("the", "a", "red") for b in ("cat", "dog", "mat") for c in ("sat", "ran on", "in")]
RUN = Run(device="cpu", precision="fp32")
SMALL = {"code": 8, "epochs": 40, "batch_size": 8, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_bert.bert().save_pretrained(folder)
    return str(tiny_bert.save_tokenizer(folder))


@pytest.fixture(scope="module")
def model(tiny: str) -> TextAutoencoder:
    return TextAutoencoder.fit(TEXTS, "static-embeddings", checkpoint=tiny, validation=0.0, run=RUN, **SMALL)


def cosines_to(model: TextAutoencoder, wanted: np.ndarray) -> np.ndarray:
    readout = model.model.readout.weight.numpy()
    return (model.encode(TEXTS) @ readout.T * wanted).sum(1)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_training_brings_vectors_to_those_of_the_teacher(model, tiny):
    wanted = unit(pretrained_vectors(TEXTS, tiny))
    adapter = checkpoint_adapter(tiny)
    recipe = static_embeddings(
        adapter.signal, generator=torch.Generator().manual_seed(0), checkpoint=tiny, **(SMALL | {"epochs": 1})
    )
    source = PairedSource(adapter.prepare(TEXTS), VectorSource(torch.from_numpy(wanted)), sized="read")
    assert recipe.before_training is not None
    recipe.before_training(source)
    with torch.no_grad():
        step = recipe.model.step(source.batch(torch.arange(len(TEXTS))))
    start = float(
        torch.nn.functional.cosine_similarity(
            recipe.model.readout.logits(step.decoded), step.batch.targets.values
        ).mean()
    )
    after = cosines_to(model, wanted)
    assert after.mean() > 0.9
    assert 1 - after.mean() < 0.5 * (1 - start)
    np.testing.assert_allclose(np.linalg.norm(model.encode(TEXTS), axis=1), 1, atol=1e-5)


def test_known_vectors_of_the_teacher_are_taken(tiny):
    wanted = np.repeat(np.eye(tiny_bert.bert().config.hidden_size, dtype=np.float32)[:1], len(TEXTS), 0)
    made = TextAutoencoder.fit(
        TEXTS, "static-embeddings", checkpoint=tiny, vectors=wanted, validation=0.0, run=RUN, **SMALL
    )
    assert cosines_to(made, wanted).mean() > 0.95
    with pytest.raises(InputError, match="vectors of shape"):
        TextAutoencoder.fit(TEXTS, "static-embeddings", checkpoint=tiny, vectors=wanted[:, :2], run=RUN, **SMALL)


def test_order_and_the_other_texts_do_not_matter(model):
    np.testing.assert_allclose(model.encode(["the cat sat"]), model.encode(["sat cat the"]), atol=1e-6)
    np.testing.assert_array_equal(model.encode(TEXTS)[4], model.encode([TEXTS[4]])[0])
    assert not model.encode([""]).any()


def test_one_call_for_all_rows_gives_what_batches_give(model):
    rows = model.adapter.input.tokenizer.encode_batch(TEXTS, 64)
    padded = model.model.encode(model.adapter.input.prepare(TEXTS).batch(torch.arange(len(TEXTS))).inputs)
    torch.testing.assert_close(model.model.encoder.codes_of_ids(rows), padded.point)


def test_a_bundle_has_no_teacher_and_the_same_vectors(model, tmp_path):
    model.save(tmp_path / "a.bundle")
    again = isthmus.load(tmp_path / "a.bundle")
    assert isinstance(again, TextAutoencoder)
    assert isinstance(again.model.encoder, PackedEncoder)
    assert again.model.encoder.rounded.dtype == torch.int8
    assert teacher_of(again.model) is None
    assert teacher_of(model.model) is None
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))
    assert again.search(["the cat sat"], k=1)[0][0].item == "the cat sat"
    assert len(list((tmp_path / "a.bundle").rglob("*.safetensors"))) == 1


def test_rounding_is_half_a_step_at_most():
    encoder = StaticEncoder(5, 4, generator=torch.Generator().manual_seed(1), end=4)
    encoder.start_from(torch.randn(5, 4, generator=torch.Generator().manual_seed(2)))
    encoder.bags.table.data[3] = 0
    packed, table = encoder.packed(), encoder.bags.table.detach()
    steps = table.abs().amax(1, keepdim=True) / LARGEST
    assert ((packed.words() - table).abs() <= 0.5 * steps + 1e-7).all()
    assert not packed.words()[3].any()


def test_it_writes_no_texts(model):
    for call in (
        lambda: model.decode(model.encode(["a cat"])),
        lambda: model.reconstruct(["a cat"]),
        lambda: model.interpolate("a cat", "a dog"),
        lambda: model.evaluate(TEXTS),
        lambda: model.anomaly_scores(TEXTS),
    ):
        with pytest.raises(SettingError, match="writes no texts"):
            call()
    with pytest.raises(SettingError, match="prior"):
        model.sample(1)


@pytest.mark.slow
def test_held_out_texts_choose_the_epoch_by_their_cosine(tiny):
    made = TextAutoencoder.fit(TEXTS * 3, "static-embeddings", checkpoint=tiny, validation=0.2, run=RUN, **SMALL)
    assert made.history.best_epoch is not None
    first, best = made.history.records[0], made.history.records[made.history.best_epoch - 1]
    assert -1 <= first["held_out_cosine"] < best["held_out_cosine"] <= 1


def test_sentence_transformers_loads_the_export(model, tmp_path):
    from sentence_transformers import SentenceTransformer

    folder = to_static_embedding(tmp_path / "out", model)
    loaded = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    np.testing.assert_allclose(loaded.encode(TEXTS), model.encode(TEXTS), atol=1e-5)
    with pytest.raises(InputError):
        to_static_embedding(folder, model)


def test_the_basis_keeps_inner_products():
    rows = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) @ torch.randn(
        3, 6, generator=torch.Generator().manual_seed(1)
    )
    basis = basis_of(rows, 3)
    torch.testing.assert_close(basis.T @ basis, torch.eye(3), atol=1e-5, rtol=0)
    torch.testing.assert_close((rows @ basis) @ (rows @ basis).T, rows @ rows.T, atol=1e-3, rtol=1e-4)


def test_frequent_tokens_weigh_less():
    weights = frequency_weights(1000, 1e-4)
    assert (weights.diff() > 0).all()
    assert weights[-1] < 1
    assert (frequency_weights(10, 0.0) == 1).all()


def test_refused_settings(tiny):
    signal = checkpoint_adapter(tiny).signal
    for settings, said in (({"code": 1000}, "code=1000"), ({"sif": -1.0}, "sif=-1"), ({"epochs": 0}, "epochs")):
        with pytest.raises(SettingError, match=said):
            static_embeddings(signal, generator=torch.Generator(), checkpoint=tiny, **settings)


def test_the_command(tiny, tmp_path: Path, capsys):
    from isthmus.cli import main

    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS), encoding="utf-8")
    out = tmp_path / "a.bundle"
    arguments = ["fit", "text", str(texts), "--model", "static-embeddings", "--out", str(out), "--epochs", "2"]
    assert main([*arguments, "--setting", f"checkpoint={tiny}", "--setting", "code=8", "--json"]) in (0, None)
    assert '"model": "static-embeddings"' in capsys.readouterr().out
    assert main(["search", str(out), "the cat sat", "-k", "1", "--json"]) in (0, None)
    assert "the cat sat" in capsys.readouterr().out
