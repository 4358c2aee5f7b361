from __future__ import annotations

import pytest
import tiny_bert
import torch

from isthmus.batch import Tokens
from isthmus.core.decoders.memory import MemoryDecoder
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.sources import VectorSource
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.pretrained.builders import readable_embeddings
from isthmus_text.pretrained.cached_vectors import PairedSource
from isthmus_text.pretrained.linear_start import start_linear
from isthmus_text.tokens.source import TokenSource
from isthmus_text.tokens.store import TokenStore

WIDTH, VOCABULARY, END = 12, 30, 0
RUN = Run(device="cpu", precision="fp32")


def pairs(rows: int = 2000) -> tuple[PairedSource, list[list[int]]]:
    """Texts of three tokens, and vectors of length 1 that are sums of the tokens' own."""
    generator = torch.Generator().manual_seed(0)
    table = torch.nn.functional.normalize(torch.randn(VOCABULARY, WIDTH, generator=generator), dim=1)
    ids = torch.randint(1, VOCABULARY, (rows, 3), generator=generator)
    vectors = torch.nn.functional.normalize(table[ids].sum(1), dim=1)
    texts = [[*row, END] for row in ids.tolist()]
    store = TokenStore.temporary(texts, VOCABULARY)
    return PairedSource(VectorSource(vectors), TokenSource(store, 4)), texts


def logits_of(hidden: int) -> tuple[torch.Tensor, list[list[int]]]:
    source, texts = pairs()
    generator = torch.Generator().manual_seed(0)
    decoder = MemoryDecoder(VOCABULARY, hidden, 1, 2, 4, WIDTH, generator=generator, slots=2)
    readout = LinearReadout(hidden, VOCABULARY, generator=generator)
    start_linear(decoder, readout, source)
    with torch.no_grad():
        vectors = source.batch(torch.arange(200)).inputs.values
        return readout.logits(decoder.start(vectors)[0]), texts[:200]


@pytest.mark.parametrize("hidden", [8, 32])  # narrower and wider than the vectors
def test_tokens_of_a_text_are_likelier_than_others(hidden):
    logits, texts = logits_of(hidden)
    own = torch.zeros_like(logits, dtype=torch.bool)
    for row, text in enumerate(texts):
        own[row, text[:3]] = True
    others = ~own
    others[:, END] = False
    mean = [(logits * mask).sum(1) / mask.sum(1) for mask in (own, others)]
    assert (mean[0] > mean[1]).float().mean() > 0.9


def test_rare_tokens_are_unlikely(tmp_path):
    logits, _ = logits_of(32)
    # Every text ends, and each token is in a tenth of them.
    assert logits[:, END].mean() > logits[:, 1:].mean()


def test_the_first_epoch_is_better_with_it(tmp_path):
    tiny_bert.bert().save_pretrained(tmp_path)
    checkpoint = str(tiny_bert.save_tokenizer(tmp_path))
    texts = [f"{a} {b} {c}" for a in ("the", "a", "red") for b in ("cat", "dog", "mat") for c in ("sat", "ran", "in")]
    nats = {}
    for start in (False, True):
        model = TextAutoencoder.fit(
            texts * 4,
            "readable-embeddings",
            checkpoint=checkpoint,
            vocabulary=300,
            validation=0.0,
            gallery=False,
            run=RUN,
            hidden=32,
            layers=1,
            heads=2,
            slots=2,
            tokens=64,
            epochs=1,
            linear_start=start,
        )
        nats[start] = model.facts["training"]["records"][0]["nll"]
    assert nats[True] < nats[False] - 0.5


def test_not_for_an_encoder_that_is_trained(tmp_path):
    tiny_bert.bert().save_pretrained(tmp_path)
    checkpoint = str(tiny_bert.save_tokenizer(tmp_path))
    with pytest.raises(SettingError, match="linear_start"):
        readable_embeddings(
            Tokens(300, 12),
            generator=torch.Generator().manual_seed(0),
            checkpoint=checkpoint,
            trains_encoder=True,
            linear_start=True,
        )
