"""Sequence decoders: teacher forcing and cached generation are the same function, and what is hidden stays hidden."""

import pytest
import torch
from torch.nn import functional as F

from isthmus.batch import Batch, TokenRows, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.decoders import LstmDecoder, SuperposedDecoder, TransformerDecoder
from isthmus.core.encoders import LstmEncoder, TransformerEncoder
from isthmus.core.likelihoods.discrete import Categorical
from isthmus.core.priors.normal import StandardNormal
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError, ValueRangeError
from isthmus.protocols import SequenceDecoder

VOCABULARY, WIDTH, CODE, LENGTH, LENGTHS = 17, 8, 3, 9, (5, 2, 4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(kind, dropout=0.0):
    if kind != "lstm":
        transformer = SuperposedDecoder if kind == "superposed" else TransformerDecoder
        return transformer(VOCABULARY, WIDTH, 2, 2, LENGTH, CODE, generator=generator(), dropout=dropout)
    return LstmDecoder(VOCABULARY, 6, WIDTH, CODE, generator=generator(), dropout=dropout)


def whole(kind):
    g = generator(4)
    if kind != "lstm":
        encoder = TransformerEncoder(VOCABULARY, WIDTH, 1, 2, LENGTH, generator=g)
    else:
        encoder = LstmEncoder(VOCABULARY, 6, WIDTH, generator=g)
    return Autoencoder(
        encoder=encoder,
        bottleneck=Gaussian(encoder.width, CODE, generator=g),
        prior=StandardNormal(CODE),
        decoder=build(kind),
        readout=LinearReadout(WIDTH, VOCABULARY, generator=g),
        likelihood=Categorical(),
    )


def tokens(steps=5, unseen=None):
    mask = torch.arange(steps) < torch.tensor(LENGTHS)[:, None]
    ids = F.pad(torch.randint(1, VOCABULARY, (3, 5), generator=generator(1)), (0, steps - 5), value=3)
    return TokenRows(ids, mask, unseen)


def batch(inputs, targets=None):
    return Batch(torch.arange(inputs.size), inputs, inputs if targets is None else targets)


def codes(rows=3):
    return torch.randn(rows, CODE, generator=generator(2))


def generated(decoder, z, ids):
    """States of every position, one step at a time."""
    hidden, state = decoder.start(z)
    states = [hidden]
    for position in range(ids.shape[1] - 1):
        hidden, state = decoder.advance(state, ids[:, position])
        states.append(hidden)
    return torch.stack(states, 1), state


@pytest.fixture(params=["lstm", "superposed", "transformer"])
def kind(request):
    return request.param


@pytest.fixture
def decoder(kind):
    return build(kind)


def test_it_is_a_sequence_decoder(decoder):
    assert isinstance(decoder, SequenceDecoder)


def test_teacher_forcing_equals_cached_generation(decoder):
    forced = decoder(codes(), batch(tokens()))
    assert forced.shape == (3, 5, WIDTH)
    torch.testing.assert_close(generated(decoder, codes(), tokens().ids)[0], forced)


def test_rows_of_a_batch_do_not_touch_each_other(decoder):
    together = decoder(codes(), batch(tokens()))
    for row, length in enumerate(LENGTHS):
        own = codes()[row : row + 1]
        states, _ = generated(decoder, own, tokens().ids[row : row + 1, :length])
        torch.testing.assert_close(states, together[row : row + 1, :length])


def test_generation_goes_on_from_reordered_states(decoder):
    ids, rows = tokens().ids, torch.tensor([2, 0, 0, 1])
    forced = decoder(codes()[rows], batch(TokenRows(ids[rows], torch.ones(4, 5, dtype=torch.bool))))
    _, state = generated(decoder, codes(), ids[:, :3])
    picked = decoder.reorder(state, rows)
    for position in (2, 3):
        hidden, picked = decoder.advance(picked, ids[rows, position])
        torch.testing.assert_close(hidden, forced[:, position + 1])


def test_advance_leaves_its_state_as_it_is(decoder):
    _, state = generated(decoder, codes(), tokens().ids[:, :3])
    first, _ = decoder.advance(state, tokens().ids[:, 0])
    decoder.advance(state, tokens().ids[:, 1])
    assert torch.equal(decoder.advance(state, tokens().ids[:, 0])[0], first)


def test_no_position_sees_its_own_token_or_a_later_one(decoder):
    before = decoder(codes(), batch(tokens()))
    for position in range(5):
        ids = tokens().ids.clone()
        ids[:, position] = (ids[:, position] + 1) % VOCABULARY
        after = decoder(codes(), batch(TokenRows(ids, tokens().mask)))
        torch.testing.assert_close(after[:, : position + 1], before[:, : position + 1])
        later = (after - before)[:, position + 1 :].abs().amax(2)
        assert bool((later > 1e-6).all())


def test_every_position_sees_the_code(decoder):
    change = decoder(codes() + 0.5, batch(tokens())) - decoder(codes(), batch(tokens()))
    assert bool((change.abs().amax(2) > 1e-3).all())


def test_the_token_of_an_unseen_position_is_hidden(decoder):
    unseen = torch.zeros(3, 5, dtype=torch.bool)
    unseen[:, 1] = True
    shown, other = tokens(unseen=unseen), tokens().ids.clone()
    other[:, 1] = (other[:, 1] + 1) % VOCABULARY
    hidden = decoder(codes(), batch(shown))
    assert torch.equal(hidden, decoder(codes(), batch(shown, TokenRows(other, shown.mask))))
    seen = decoder(codes(), batch(tokens()))
    assert torch.equal(hidden[:, :2], seen[:, :2])
    assert bool(((hidden - seen)[:, 2:].abs().amax(2) > 1e-6).all())


def test_nothing_unseen_is_the_same_as_no_word_dropout(decoder):
    none = torch.zeros(3, 5, dtype=torch.bool)
    assert torch.equal(decoder(codes(), batch(tokens(unseen=none))), decoder(codes(), batch(tokens())))


def test_inputs_of_another_kind_do_not_matter(decoder):
    other = batch(Values(torch.ones(3, 2)), tokens())
    assert torch.equal(decoder(codes(), other), decoder(codes(), batch(tokens())))


def test_more_padding_changes_neither_loss_nor_gradient(kind):
    # In float64: in float32 the order of the sums, which padding changes, shows in small gradients.
    model = whole(kind).double()
    losses, gradients = [], []
    for steps in (5, 8):
        loss = model.loss(model.step(batch(tokens(steps)))).total
        losses.append(loss)
        gradients.append(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True))
    torch.testing.assert_close(*losses)
    for fewer, more in zip(*gradients, strict=True):
        torch.testing.assert_close(fewer, more)


@pytest.mark.parametrize("bf16", [False, True])
def test_every_parameter_of_a_whole_model_gets_a_gradient(kind, bf16):
    model = whole(kind)
    unseen = torch.rand(3, 5, generator=generator(5)) < 0.5
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        step = model.step(batch(tokens(unseen=unseen)), generator=generator(), samples=3)
        loss = model.loss(step).total
    reference = whole(kind).loss(whole(kind).step(batch(tokens(unseen=unseen)), generator=generator(), samples=3)).total
    torch.testing.assert_close(loss, reference, atol=0.2, rtol=0.02)
    loss.backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)}
    assert without == set()


def test_samples_are_laid_out_side_by_side(kind):
    model = whole(kind)
    unseen = torch.rand(3, 5, generator=generator(5)) < 0.5
    step = model.step(batch(tokens(unseen=unseen)), generator=generator(), samples=3)
    assert step.log_likelihood.shape == (3, 3)
    for sample in range(3):
        decoded = model.decode(step.code.sample.view(3, 3, CODE)[:, sample], batch(tokens(unseen=unseen)))
        torch.testing.assert_close(model.likelihood(model.readout, decoded, tokens()), step.log_likelihood[:, sample])


def test_generation_under_autocast_is_near(decoder):
    forced = decoder(codes(), batch(tokens()))
    with torch.autocast("cpu", torch.bfloat16):
        states, state = generated(decoder, codes(), tokens().ids)
        decoder.reorder(state, torch.tensor([0, 0]))
    torch.testing.assert_close(states.float(), forced, atol=0.1, rtol=0.1)


def test_weights_come_from_the_generator_alone(kind):
    before = torch.random.get_rng_state()
    one, other = build(kind), build(kind, dropout=0.5)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, parameter in one.named_parameters():
        assert torch.equal(parameter, other.get_parameter(name)), name


def test_dropout_is_on_in_training_only(kind):
    part = build(kind, dropout=0.5)
    assert not torch.equal(part(codes(), batch(tokens())), part(codes(), batch(tokens())))
    part.eval()
    assert torch.equal(part(codes(), batch(tokens())), build(kind)(codes(), batch(tokens())))


def test_builds_without_memory(kind):
    with torch.device("meta"):
        part = build(kind)
    assert {p.device.type for p in [*part.parameters(), *part.buffers()]} == {"meta"}


@pytest.mark.slow
def test_a_model_can_learn_its_batch_by_heart(kind):
    model, rows = whole(kind), batch(tokens())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    first = model.step(rows).log_likelihood.mean()
    for _ in range(100):
        optimizer.zero_grad()
        (-model.step(rows).log_likelihood.mean()).backward()
        optimizer.step()
    assert float(model.step(rows).log_likelihood.detach().mean()) > 0.1 * float(first.detach())


def test_what_makes_no_sense_is_refused(decoder):
    with pytest.raises(SettingError, match="without targets"):
        decoder(codes(), None)
    with pytest.raises(SettingError, match="Values"):
        decoder(codes(), batch(tokens(), Values(torch.ones(3, 2))))
    with pytest.raises(SettingError, match="2 codes for 3 rows"):
        decoder(codes(2), batch(tokens()))
    short = TokenRows(*(t[:, :4] for t in (tokens().ids, tokens().mask)), torch.ones(3, 4, dtype=torch.bool))
    with pytest.raises(SettingError, match="unseen positions"):
        decoder(codes(), batch(short, tokens()))


@pytest.mark.parametrize("kind", ["superposed", "transformer"])
def test_a_transformer_ends_where_its_positions_end(kind):
    decoder = build(kind)
    _, state = generated(decoder, codes(), tokens(9).ids)
    with pytest.raises(ValueRangeError, match="10 tokens"):
        decoder.advance(state, tokens().ids[:, 0])
    with pytest.raises(ValueRangeError, match="10 tokens"):
        decoder(codes(), batch(tokens(10)))
    with pytest.raises(SettingError, match="3 heads"):
        TransformerDecoder(VOCABULARY, WIDTH, 1, 3, LENGTH, CODE, generator=generator())
