"""Vector quantisation: nearest words, straight-through gradients, words that follow, starving words drawn anew."""

import pytest
import torch
from bridges import batch, generator, values, vector_bridge

from isthmus.batch import Values
from isthmus.bundle.tensors import load_state, state_of
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.core.bottlenecks.vector_quantised import VectorQuantised, nearest
from isthmus.core.penalties.commitment import Commitment
from isthmus.errors import SettingError
from isthmus.protocols import Phase
from isthmus.sources import VectorSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train

HIDDEN, CODE, WORDS = 6, 4, 5


def bottleneck(parts=2, words=WORDS):
    return VectorQuantised(HIDDEN, CODE, words, generator=generator(), parts=parts)


def hidden(rows=40, seed=1):
    return torch.randn(rows, HIDDEN, generator=generator(seed))


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_each_part_is_the_nearest_word_of_its_table(parts):
    made = bottleneck(parts).eval()
    code = made(hidden(), samples=2)
    vectors = made.point(hidden()).detach().view(-1, parts, CODE // parts)
    words = code.notes["codewords"]
    for row in range(40):
        for part in range(parts):
            distances = (made.table[part] - vectors[row, part]).square().sum(1)
            assert int(words[row, part]) == int(distances.argmin())
            chosen = made.table[part, words[row, part]]
            own = code.point.view(-1, parts, CODE // parts)[row, part]
            torch.testing.assert_close(own.detach(), chosen, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(made.codewords_to_code(words), code.point.detach(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(code.sample, code.point.repeat_interleave(2, 0))
    wanted = (vectors.flatten(1) - code.point).square().sum(1)
    torch.testing.assert_close(code.notes["distance"], wanted, atol=1e-5, rtol=1e-5)


def test_equal_distances_choose_the_first_word():
    assert nearest(torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0], [0, 1.0], [-1.0, 0]]])).tolist() == [[0]]


def test_the_gradient_passes_straight_through():
    made = bottleneck().eval()
    weights = torch.rand(40, CODE, generator=generator(3))
    (straight,) = torch.autograd.grad((weights * made(hidden()).sample).sum(), made.point.weight)
    torch.testing.assert_close(straight, weights.T @ hidden())


def test_commitment_pulls_vectors_and_not_words():
    model = vector_bridge(bottleneck())
    step = model.step(batch(values()), generator=generator())
    found = Commitment(0.5)(step)["commitment"]
    torch.testing.assert_close(found, 0.5 * step.code.notes["distance"].mean())
    found.backward()
    assert model.bottleneck.point.weight.grad.abs().sum() > 0
    assert not model.bottleneck.table.requires_grad


def test_words_follow_the_mean_of_what_chose_them():
    """One step from a known start, without new words: table = sums / counts with decay .99."""
    made = bottleneck(parts=1).train()
    before = {name: tensor.clone() for name, tensor in state_of(made).items()}
    code = made(hidden())
    vectors, words = made.point(hidden()).detach(), code.notes["codewords"][:, 0]
    for word in range(WORDS):
        mine = vectors[words == word]
        used = 0.99 * before["used"][0, word] + 0.01 * len(mine)
        total = 0.99 * before["sums"][0, word] + 0.01 * mine.sum(0)
        torch.testing.assert_close(made.used[0, word], used)
        torch.testing.assert_close(made.table[0, word], total / (used + 1e-5))


def test_words_come_to_the_centres_of_clusters_and_none_starves():
    centres = torch.tensor([[4.0, 4, 0, 0], [-4, 4, 0, 0], [4, -4, 0, 0], [-4, -4, 0, 0], [0, 0, 6, 6]])
    made = bottleneck(parts=1, words=15).train()
    with torch.no_grad():
        made.point.weight.copy_(torch.eye(CODE, HIDDEN))
        made.point.bias.zero_()
    g = generator(2)
    for _ in range(300):
        labels = torch.randint(5, (50,), generator=g)
        rows = centres[labels] + 0.1 * torch.randn(50, CODE, generator=g)
        made(torch.nn.functional.pad(rows, (0, 2)), generator=g)
    gaps = torch.cdist(centres, made.table[0])
    assert gaps.min(0).values.max() < 0.4
    assert sorted(set(gaps.argmin(0).tolist())) == [0, 1, 2, 3, 4]


def test_without_a_generator_nothing_is_drawn_and_afterwards_nothing_moves():
    made = bottleneck().train()
    twin = bottleneck().train()
    assert torch.equal(made(hidden()).point, twin(hidden()).point)
    assert not made.begun
    made.eval()
    before = {name: tensor.clone() for name, tensor in state_of(made).items()}
    whole = made(hidden(), generator=generator()).point
    torch.testing.assert_close(made(hidden()[:1]).point, whole[:1])
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(made).items())


def test_the_first_words_come_from_the_data():
    made = bottleneck(parts=1).train()
    vectors = made.point(100 * hidden()).detach()
    made(100 * hidden(), generator=generator())
    assert bool(made.begun)
    assert torch.cdist(made.table[0], vectors).min(1).values.max() < 30
    other = bottleneck(parts=1)
    load_state(other, state_of(made))
    assert torch.equal(other.eval()(hidden()).point, made.eval()(hidden()).point)


@pytest.mark.slow
def test_a_model_of_words_learns():
    """Rows around 6 centres: six words tell nearly all there is."""
    g = generator(4)
    centres = 3 * torch.randn(6, 12, generator=g)
    rows = centres[torch.randint(6, (600,), generator=g)] + 0.1 * torch.randn(600, 12, generator=g)
    made = VectorQuantised(HIDDEN, CODE, 12, generator=generator())
    model = vector_bridge(made, penalties=(Commitment(),))
    history = train(
        model, VectorSource(rows), Plan((Phase(30),), Shuffled(50), learning_rate=0.02), Run(device="cpu", seed=0)
    )
    left = rows - model.readout.logits(model.decode(model.encode(Values(rows)).point))
    assert float(left.square().sum() / (rows - rows.mean(0)).square().sum()) < 0.1
    assert "commitment" in history.records[-1]


@pytest.mark.parametrize("settings", [{"words": 1}, {"parts": 3}, {"parts": 0}])
def test_settings_out_of_range(settings):
    with pytest.raises(SettingError):
        bottleneck(**settings)


def test_a_commitment_wants_words_and_a_weight():
    with pytest.raises(SettingError, match="weight=-1"):
        Commitment(-1.0)
    model = vector_bridge(Projected(HIDDEN, CODE, generator=generator()))
    with pytest.raises(SettingError, match="VectorQuantised"):
        Commitment()(model.step(batch(values())))
