"""Encoders of tokens: padding changes nothing, references by hand, and refusals."""

import math

import pytest
import torch
from torch.nn import functional as F

from isthmus.batch import TokenRows, Values
from isthmus.core.encoders import LstmEncoder, SuperposedEncoder, TransformerEncoder
from isthmus.errors import SettingError, ValueRangeError

VOCABULARY, WIDTH, LENGTH, LENGTHS = 17, 8, 9, (5, 2, 3)
LSTMS = ("last", "mean_max")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(kind, dropout=0.0):
    if kind == "transformer":
        return TransformerEncoder(VOCABULARY, WIDTH, 2, 2, LENGTH, generator=generator(), dropout=dropout)
    if kind == "superposed":
        return SuperposedEncoder(VOCABULARY, WIDTH, LENGTH, 12, generator=generator(), shared=3)
    return LstmEncoder(VOCABULARY, 6, WIDTH, generator=generator(), dropout=dropout, pooling=kind)


def tokens(steps=5, unseen=None):
    mask = torch.arange(steps) < torch.tensor(LENGTHS)[:, None]
    ids = F.pad(torch.randint(1, VOCABULARY, (3, 5), generator=generator(1)), (0, steps - 5), value=3)
    return TokenRows(ids, mask, unseen)


def encode(encoder, inputs):
    return encoder.trunk(encoder.enter(inputs), inputs)


@pytest.fixture(params=[*LSTMS, "superposed", "transformer"])
def encoder(request):
    return build(request.param)


def test_the_width_is_what_it_says(encoder):
    assert encode(encoder, tokens()).shape == (3, encoder.width)


def test_more_padding_changes_neither_state_nor_gradient(encoder):
    weights = torch.randn(3, encoder.width, generator=generator(2))
    # In float64: in float32 the order of the sums, which padding changes, shows in small gradients.
    encoder.double()
    states, gradients = [], []
    for steps in (5, 8):
        states.append(encode(encoder, tokens(steps)))
        gradients.append(torch.autograd.grad((states[-1] * weights).sum(), list(encoder.parameters())))
    torch.testing.assert_close(*states)
    for fewer, more in zip(*gradients, strict=True):
        torch.testing.assert_close(fewer, more)


def test_the_ids_of_padding_do_not_matter(encoder):
    inputs = tokens()
    other = TokenRows(torch.where(inputs.mask, inputs.ids, 11), inputs.mask)
    assert torch.equal(encode(encoder, inputs), encode(encoder, other))


def test_a_row_alone_is_what_it_is_among_others(encoder):
    together = encode(encoder, tokens())
    for row, length in enumerate(LENGTHS):
        ids = tokens().ids[row : row + 1, :length]
        alone = encode(encoder, TokenRows(ids, torch.ones_like(ids, dtype=torch.bool)))
        torch.testing.assert_close(together[row : row + 1], alone)


def test_encoders_ignore_what_decoders_are_not_shown(encoder):
    hidden = tokens(unseen=torch.ones(3, 5, dtype=torch.bool))
    assert torch.equal(encode(encoder, tokens()), encode(encoder, hidden))


def test_order_matters(encoder):
    inputs = tokens()
    swapped = inputs.ids.clone()
    swapped[:, [0, 1]] = swapped[:, [1, 0]]
    assert not torch.allclose(encode(encoder, inputs), encode(encoder, TokenRows(swapped, inputs.mask)), atol=1e-3)


def test_without_inputs_every_position_counts(encoder):
    entered = torch.randn(3, 5, encoder.table.shape[1], generator=generator(3))
    everything = TokenRows(torch.zeros(3, 5, dtype=torch.int64), torch.ones(3, 5, dtype=torch.bool))
    assert torch.equal(encoder.trunk(entered, None), encoder.trunk(entered, everything))


def test_every_parameter_gets_a_gradient_under_autocast(encoder):
    reference = encode(encoder, tokens()).detach()
    with torch.autocast("cpu", torch.bfloat16):
        state = encode(encoder, tokens())
    assert state.dtype == torch.float32
    torch.testing.assert_close(state, reference, atol=0.05, rtol=0.05)
    state.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in encoder.parameters())


@pytest.mark.parametrize("kind", [*LSTMS, "superposed", "transformer"])
def test_weights_come_from_the_generator_alone(kind):
    before = torch.random.get_rng_state()
    one, other = build(kind), build(kind, dropout=0.5)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, parameter in one.named_parameters():
        assert torch.equal(parameter, other.get_parameter(name)), name


@pytest.mark.parametrize("kind", [*LSTMS, "transformer"])
def test_dropout_is_on_in_training_only(kind):
    part = build(kind, dropout=0.5)
    assert not torch.equal(encode(part, tokens()), encode(part, tokens()))
    part.eval()
    assert torch.equal(encode(part, tokens()), encode(build(kind), tokens()))


@pytest.mark.parametrize("kind", [*LSTMS, "superposed", "transformer"])
def test_builds_without_memory(kind):
    with torch.device("meta"):
        part = build(kind)
    assert {p.device.type for p in [*part.parameters(), *part.buffers()]} == {"meta"}


def test_the_lstm_is_an_lstm():
    """Gate by gate (Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000)."""
    part = build("last")
    entered = part.enter(tokens())
    layer, state, cell = part.lstm, torch.zeros(3, WIDTH), torch.zeros(3, WIDTH)
    states = []
    for step in entered.unbind(1):
        gates = step @ layer.weight_ih_l0.T + layer.bias_ih_l0 + state @ layer.weight_hh_l0.T + layer.bias_hh_l0
        enters, forgets, new, leaves = gates.chunk(4, 1)
        cell = forgets.sigmoid() * cell + enters.sigmoid() * new.tanh()
        state = leaves.sigmoid() * cell.tanh()
        states.append(state)
    expected = torch.stack([states[length - 1][row] for row, length in enumerate(LENGTHS)])
    torch.testing.assert_close(encode(part, tokens()), expected)
    bound = 1 / math.sqrt(WIDTH)
    assert all(0.8 * bound < float(p.detach().abs().max()) <= bound for p in layer.parameters())


def test_a_superposed_code_is_the_sum_of_weighted_vectors_at_their_places():
    part, inputs = build("superposed"), tokens()
    with torch.no_grad():
        part.log_weights.normal_(generator=generator(2))
    for row, length in enumerate(LENGTHS):
        words = inputs.ids[row, :length].tolist()
        held = [part.log_weights[word].exp() * part.table[word] @ part.places[t] for t, word in enumerate(words)]
        torch.testing.assert_close(encode(part, inputs)[row], torch.stack(held).sum(0))
    assert torch.equal(part.places[0, :, :3], part.places[4, :, :3])
    assert not torch.allclose(part.places[0, :, 3:], part.places[4, :, 3:])


def test_mean_and_maximum_are_side_by_side():
    part, inputs = build("mean_max"), tokens()
    states, _ = part.lstm(part.enter(inputs))
    real = [states[row, :length] for row, length in enumerate(LENGTHS)]
    expected = torch.stack([torch.cat([own.mean(0), own.amax(0)]) for own in real])
    torch.testing.assert_close(encode(part, inputs), expected)


def test_rows_that_make_no_sense_are_refused(encoder):
    ids = torch.ones(2, 3, dtype=torch.int64)
    for mask in ([[True, True, True], [False, False, False]], [[True, True, True], [False, True, True]]):
        with pytest.raises(ValueRangeError, match="padding before a token"):
            encode(encoder, TokenRows(ids, torch.tensor(mask)))
    with pytest.raises(SettingError, match="Values"):
        encoder.enter(Values(torch.ones(2, 3)))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(SettingError, match="pooling 'first'"):
        build("first")
    with pytest.raises(SettingError, match="3 heads"):
        TransformerEncoder(VOCABULARY, WIDTH, 1, 3, LENGTH, generator=generator())
    for kind in ("superposed", "transformer"):
        with pytest.raises(ValueRangeError, match="10 tokens"):
            encode(build(kind), tokens(10))
    with pytest.raises(SettingError, match="shared=13"):
        SuperposedEncoder(VOCABULARY, WIDTH, LENGTH, 12, generator=generator(), shared=13)


def test_repeated_rows_stand_side_by_side():
    unseen = torch.rand(3, 5, generator=generator(2)) < 0.5
    given = tokens(unseen=unseen)
    repeated = given.repeat(2)
    for name in ("ids", "mask", "unseen"):
        assert torch.equal(getattr(repeated, name), getattr(given, name)[[0, 0, 1, 1, 2, 2]])
    assert tokens().repeat(2).unseen is None
