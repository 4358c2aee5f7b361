from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_bert
import torch

from isthmus.bundle.tensors import state_of
from isthmus.errors import InputError, SettingError
from isthmus.models.recipes.rebuild import rebuild
from isthmus.sources import VectorSource
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.input_output import checkpoint_adapter, pretrained_vectors
from isthmus_text.pretrained.builders import denoising_text, readable_embeddings
from isthmus_text.pretrained.cached_vectors import PairedSource, vectors_of
from isthmus_text.pretrained.checkpoints import describe

WORDS = tiny_bert.WORDS[4:]
TEXTS = [f"{a} {b} {c}" for a in ("the", "a", "red") for b in ("cat", "dog", "mat") for c in ("sat", "ran on", "in")]
RUN = Run(device="cpu", precision="fp32")
DECODER = {"hidden": 32, "layers": 1, "heads": 2, "slots": 2}
SMALL = {**DECODER, "tokens": 64}
TIED = {name: value for name, value in SMALL.items() if name != "hidden"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_bert.bert().save_pretrained(folder)
    return str(tiny_bert.save_tokenizer(folder))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def trained(tiny: str, **settings):
    adapter = checkpoint_adapter(tiny)
    recipe = denoising_text(adapter.signal, generator=generator(), checkpoint=tiny, **(TIED | settings))
    source = adapter.prepare(TEXTS)
    history = recipe.fit(source, RUN)
    return recipe.model, source, history


def moved(model, source, tiny: str) -> float:
    """The mean cosine between the vectors now and those of the checkpoint."""
    now, before = vectors_of(model.encoder, source), torch.from_numpy(pretrained_vectors(TEXTS, tiny))
    return float(torch.nn.functional.cosine_similarity(now, before, dim=1).mean())


def test_vectors_are_in_the_order_of_the_rows(tiny):
    texts = ["the cat sat on the mat", "a", "", "big red sun in the big red mat"]
    found = pretrained_vectors(texts, tiny)
    for row, text in enumerate(texts):
        np.testing.assert_allclose(found[row], pretrained_vectors([text], tiny)[0], atol=1e-5)


def test_denoising_learns_and_trains_the_encoder(tiny):
    model, source, history = trained(tiny, epochs=4, learning_rate=5e-3)
    assert history.records[-1]["nll"] < 0.8 * history.records[0]["nll"]
    assert moved(model, source, tiny) < 0.99
    assert model.corruption.rate == 0.6


def test_the_anchor_holds_the_vectors(tiny):
    settings = {"epochs": 3, "learning_rate": 3e-3}
    free, _, _ = trained(tiny, **settings)
    held, source, history = trained(tiny, anchor=200.0, **settings)
    assert moved(held, source, tiny) > moved(free, source, tiny)
    assert history.records[0]["anchor"] > 0


def test_the_contrast_is_a_term_of_the_loss(tiny):
    _, _, history = trained(tiny, contrastive=1.0, epochs=1)
    assert history.records[0]["contrast"] > 0
    assert "anchor" not in history.records[0]


def test_a_trained_model_is_rebuilt_without_the_directory(tiny):
    model, source, _ = trained(tiny, epochs=1)
    settings = {**TIED, "checkpoint": describe(tiny).to_json()}
    again = rebuild(denoising_text, checkpoint_adapter(tiny).signal, settings, state_of(model))
    torch.testing.assert_close(vectors_of(again.encoder, source), vectors_of(model.encoder, source))


def test_word_vectors_are_shared_by_encoder_decoder_and_readout(tiny):
    model, _, _ = trained(tiny, epochs=1)
    assert model.decoder.shown.table is model.readout.weight is model.encoder.words()
    assert sum(name.endswith(("table", "word_embeddings.weight", "readout.weight")) for name in state_of(model)) == 1


def test_a_decoder_of_its_own_width_shares_nothing(tiny):
    model, _, _ = trained(tiny, epochs=1, tied=False, hidden=32)
    assert model.readout.weight.shape[1] == 32 != model.encoder.words().shape[1]
    with pytest.raises(SettingError, match="the same shape"):
        trained(tiny, hidden=32)


def test_an_encoder_that_trains_while_it_is_read(tiny):
    adapter = checkpoint_adapter(tiny)
    recipe = readable_embeddings(
        adapter.signal, generator=generator(), checkpoint=tiny, trains_encoder=True, anchor=10.0, epochs=1, **SMALL
    )
    recipe.fit(adapter.prepare(TEXTS), RUN)
    found = vectors_of(recipe.model.encoder.encoder, adapter.prepare(TEXTS))
    assert not np.allclose(found.numpy(), pretrained_vectors(TEXTS, tiny))


def test_settings_that_exclude_each_other(tiny):
    for wrong in [{"noise": 0.1, "trains_encoder": True}, {"anchor": 1.0}, {"layers": 0}]:
        with pytest.raises(SettingError):
            readable_embeddings(checkpoint_adapter(tiny).signal, generator=generator(), checkpoint=tiny, **wrong)


def test_pairs_need_equal_numbers(tiny):
    source = checkpoint_adapter(tiny).prepare(TEXTS)
    pairs = PairedSource(VectorSource(torch.arange(float(len(TEXTS)))[:, None]), source)
    batch = pairs.to(torch.device("cpu")).batch(torch.tensor([4, 1]))
    assert batch.inputs.values[:, 0].tolist() == [4, 1]
    assert torch.equal(batch.targets.ids, source.batch(torch.tensor([4, 1])).targets.ids)
    assert torch.equal(pairs.lengths, source.lengths)
    with pytest.raises(InputError):
        PairedSource(VectorSource(torch.zeros(2, 3)), source)


@pytest.fixture(scope="module")
def readable(tiny: str) -> TextAutoencoder:
    return TextAutoencoder.fit(
        TEXTS,
        "readable-embeddings",
        checkpoint=tiny,
        vocabulary=300,
        max_length=12,
        run=RUN,
        epochs=100,
        learning_rate=5e-3,
        **SMALL,
    )


def test_vectors_stay_what_they_were_and_are_read_back(readable, tiny):
    vectors = readable.encode(TEXTS)
    np.testing.assert_allclose(vectors, pretrained_vectors(TEXTS, tiny), atol=1e-6)
    said = readable.decode(vectors)
    assert np.mean([one == other for one, other in zip(said, TEXTS, strict=True)]) > 0.5


def test_the_encoder_is_frozen_and_ran_once(readable, tiny):
    expected = tiny_bert.bert().state_dict()
    assert all(torch.equal(t, expected[n]) for n, t in readable.model.encoder.encoder.backbone.state_dict().items())
    known = TextAutoencoder.fit(
        TEXTS,
        "readable-embeddings",
        vectors=pretrained_vectors(TEXTS, tiny),
        checkpoint=tiny,
        vocabulary=300,
        max_length=12,
        run=RUN,
        epochs=1,
        **SMALL,
    )
    assert known.facts["texts"] == len(TEXTS)


def test_of_more_draws_the_nearest_is_given(readable):
    vectors = readable.encode(TEXTS)
    first = readable.decode(vectors, strategy="greedy")
    best = readable.decode(vectors, strategy="greedy", draws=3, seed=1, temperature=1.5, top_p=1.0)
    assert best == readable.decode(vectors, strategy="greedy", draws=3, seed=1, temperature=1.5, top_p=1.0)

    def cosines(texts):
        found = readable.encode(texts)
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(vectors, axis=1)
        return (found * vectors).sum(1) / lengths

    assert (cosines(best) >= cosines(first) - 1e-5).all()


def test_saved_and_loaded_it_says_the_same(readable, tmp_path):
    readable.save(tmp_path / "bundle")
    again = TextAutoencoder.load(tmp_path / "bundle")
    vectors = readable.encode(TEXTS)
    np.testing.assert_array_equal(again.encode(TEXTS), vectors)
    assert again.decode(vectors) == readable.decode(vectors)
    assert again.settings == readable.settings
    assert str(tmp_path) not in str(again.settings)


def test_what_cannot_be_read(readable):
    with pytest.raises(InputError, match="shape"):
        readable.decode(np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match="NaN"):
        readable.decode(np.full((1, 16), np.nan, np.float32))
    with pytest.raises(SettingError, match="draws"):
        readable.decode(np.zeros((1, 16), np.float32), draws=-1)


def test_vectors_that_are_not_of_the_texts(tiny):
    with pytest.raises(InputError, match="shape"):
        TextAutoencoder.fit(
            TEXTS,
            "readable-embeddings",
            vectors=np.zeros((27, 3), np.float32),
            checkpoint=tiny,
            vocabulary=300,
            **SMALL,
        )


def test_every_verb_of_the_face_serves_readable_embeddings(readable):
    assert [hit.item for hit in readable.search(TEXTS[4], 1)[0]] == [TEXTS[4]]
    assert len(readable.interpolate(TEXTS[0], TEXTS[9], 3)) == 3
    found = readable.evaluate(TEXTS)
    assert found.texts == len(TEXTS)
    assert found.bleu > 50
    assert found.active_units is None


def test_denoising_through_the_face(tiny, tmp_path):
    model = TextAutoencoder.fit(TEXTS * 3, "denoising-text", checkpoint=tiny, epochs=2, run=RUN, **TIED)
    assert model.adapter.input is model.adapter.output
    model.save(tmp_path / "m")
    again = TextAutoencoder.load(tmp_path / "m")
    np.testing.assert_array_equal(again.encode(TEXTS), model.encode(TEXTS))
    assert tiny not in str(again.settings)
    with pytest.raises(SettingError, match="tokenizer"):
        TextAutoencoder.fit(TEXTS, "denoising-text", tokenizer="word", checkpoint=tiny, **TIED)


def test_the_folder_is_a_path_too(tiny):
    assert describe(str(Path(tiny))).end == 3
