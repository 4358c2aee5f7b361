from __future__ import annotations

import pytest
import torch

from isthmus.batch import Batch, TokenRows, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.decoders.memory import MemoryDecoder
from isthmus.core.encoders import DenseEncoder
from isthmus.core.likelihoods.discrete import Categorical
from isthmus.core.ops import attention
from isthmus.core.ops.attention import attend
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError, ValueRangeError
from isthmus.protocols import SequenceDecoder
from isthmus.tasks.generate import generate

VOCABULARY, WIDTH, LENGTH, CODE, END = 12, 16, 7, 6, 2


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decoder(**settings) -> MemoryDecoder:
    return MemoryDecoder(VOCABULARY, WIDTH, 2, 2, LENGTH, CODE, **({"generator": generator(), "slots": 3} | settings))


def batch(rows: int = 4, steps: int = 5, seed: int = 1) -> tuple[torch.Tensor, Batch]:
    g = generator(seed)
    z = torch.nn.functional.normalize(torch.randn(rows, CODE, generator=g), dim=1)
    ids = torch.randint(3, VOCABULARY, (rows, steps), generator=g)
    ids[:, -1] = END
    tokens = TokenRows(ids, torch.ones(rows, steps, dtype=torch.bool))
    return z, Batch(torch.arange(rows), Values(z), tokens)


def test_one_step_at_a_time_as_all_at_once():
    part = decoder().eval()
    z, given = batch()
    whole = part(z, given)
    hidden, state = part.start(z)
    for position in range(5):
        torch.testing.assert_close(hidden, whole[:, position])
        hidden, state = part.advance(state, given.targets.ids[:, position])


def test_no_position_sees_a_later_one_and_each_sees_the_code():
    part = decoder().eval()
    z, given = batch()
    ids = given.targets.ids.clone()
    ids[:, 2] = (ids[:, 2] + 1) % VOCABULARY
    changed = part(z, Batch(given.rows, given.inputs, TokenRows(ids, given.targets.mask)))
    whole = part(z, given)
    torch.testing.assert_close(changed[:, :3], whole[:, :3])
    assert ((changed - whole).abs().amax(2)[:, 3:] > 1e-4).all()
    assert ((part(z.flip(0), given) - whole).abs().amax(2) > 1e-4).all()


def test_states_are_reordered():
    part = decoder().eval()
    z, given = batch()
    order = torch.tensor([2, 0, 0])
    _, state = part.start(z)
    ids = given.targets.ids[:, 0]
    expected, _ = part.advance(state, ids)
    found, _ = part.advance(part.reorder(state, order), ids[order])
    torch.testing.assert_close(found, expected[order])


def test_it_is_a_sequence_decoder_with_limits():
    part = decoder()
    assert isinstance(part, SequenceDecoder)
    z, given = batch(steps=LENGTH + 1)
    with pytest.raises(ValueRangeError):
        part(z, given)
    with pytest.raises(SettingError):
        part(z, None)
    with pytest.raises(SettingError):
        decoder(dropout=1.0)


def test_texts_are_learned_from_vectors_and_read_back():
    z, given = batch(rows=6)
    g = generator()
    model = Autoencoder(
        encoder=DenseEncoder(CODE, (), generator=g),
        bottleneck=Deterministic(),
        decoder=decoder(generator=g),
        readout=LinearReadout(WIDTH, VOCABULARY, generator=g),
        likelihood=Categorical(),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(model.step(given)).total.backward()
        optimizer.step()
    assert all(p.grad is not None for name, p in model.named_parameters() if not name.endswith("stand_in"))
    said = generate(model.eval().decoder, model.readout, z, end=END, max_length=LENGTH, beams=2)
    assert said == [row[:-1] for row in given.targets.ids.tolist()]


@pytest.mark.parametrize("how", ["causal", "seen", "all"])
def test_attention_multiplied_out_is_that_of_the_kernel(how, monkeypatch):
    g = generator()
    query, key, value = (torch.randn(2, 3, 5, 4, generator=g) for _ in range(3))
    seen = torch.rand(2, 1, 5, 5, generator=g) < 0.6 if how == "seen" else None
    if seen is not None:
        seen[..., 0] = True
    out = attend(query, key, value, seen=seen, causal=how == "causal")
    monkeypatch.setattr(attention, "MULTIPLIED_OUT", 0)
    torch.testing.assert_close(out, attend(query, key, value, seen=seen, causal=how == "causal"))
