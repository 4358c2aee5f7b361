"""Next-item regression against its formula written out, a row of S and of T for each target."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from isthmus.core.linear import decayed_pairs, next_item
from isthmus.core.linear.decayed_pairs import Decay, Events
from isthmus.core.linear.next_item import Powers
from isthmus.core.linear.sparse import SparseLinear
from isthmus.errors import SettingError

Matrix = npt.NDArray[np.float64]
WIDTH, LAMBDA = 25, 3.0

DECAYS = {
    "the last item": Decay(0.1),
    "a few items": Decay(2.0),
    "longer than any history": Decay(40.0),
    "with times": Decay(3.0, 100.0, 0.1),
    "by time alone": Decay(1000.0, 50.0, 0.0),
}


@pytest.fixture(scope="module")
def events() -> Events:
    """Fifty histories of up to 40 events, some of them empty or alone, with repetitions; the last item never occurs."""
    random = np.random.default_rng(0)
    lengths = random.integers(0, 40, 50)
    lengths[:3] = 0, 1, 2
    times = [np.sort(random.random(length)) * 500 for length in lengths]
    items = random.integers(0, WIDTH - 1, lengths.sum())
    offsets = torch.from_numpy(np.append(0, np.cumsum(lengths)))
    return Events(torch.from_numpy(items), offsets, torch.from_numpy(np.concatenate(times)))


def written_out(events: Events, decay: Decay, powers: Powers) -> tuple[Matrix, Matrix, Matrix]:
    """SᵀS + Λ, SᵀT, and B."""
    counts = np.bincount(events.items, minlength=WIDTH).astype(float)
    asked = (counts + 1) ** -powers.targets
    ridge = np.maximum(counts, 1) ** powers.inputs
    asked, ridge = (one / (one @ counts / counts.sum()) for one in (asked, ridge))
    histories, targets = [], []
    for start, stop in zip(events.offsets[:-1].tolist(), events.offsets[1:].tolist(), strict=True):
        for target in range(start + 1, stop):
            row, wanted = np.zeros(WIDTH), np.zeros(WIDTH)
            for place in range(max(start, target - decay.window), target):
                weight = math.exp(-(target - 1 - place) / decay.tau)
                if decay.time_tau is not None and events.times is not None:
                    seconds = float(events.times[target] - events.times[place])
                    weight *= max(math.exp(-seconds / decay.time_tau), decay.least)
                row[events.items[place]] += weight
            wanted[events.items[target]] = asked[events.items[target]]
            histories.append(row)
            targets.append(wanted)
    inputs, outputs = np.array(histories), np.array(targets)
    gram, crossed = inputs.T @ inputs + LAMBDA * np.diag(ridge), inputs.T @ outputs
    return gram, crossed, np.linalg.solve(gram, crossed)


@pytest.mark.parametrize("powers", [Powers(), Powers(0.3, 0.5)], ids=["plain", "popularity"])
@pytest.mark.parametrize("decay", DECAYS.values(), ids=DECAYS)
def test_dense_weights_are_the_formula(events: Events, decay: Decay, powers: Powers) -> None:
    weights = next_item.dense_weights(events, WIDTH, decay, LAMBDA, powers)
    np.testing.assert_allclose(weights.numpy(), written_out(events, decay, powers)[2], atol=1e-5)


@pytest.mark.parametrize("decay", [DECAYS["a few items"], DECAYS["with times"]], ids=["order", "times"])
def test_blocks_make_no_difference(events: Events, decay: Decay, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = next_item.dense_weights(events, WIDTH, decay, LAMBDA, Powers())
    monkeypatch.setattr(decayed_pairs, "EVENTS", 45)
    monkeypatch.setattr(decayed_pairs, "WEIGHTS", 45 * decay.window)
    monkeypatch.setattr(next_item, "TARGETS", 7)
    torch.testing.assert_close(next_item.dense_weights(events, WIDTH, decay, LAMBDA, Powers()), whole)


def test_in_single_precision_it_is_nearly_the_same(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = next_item.dense_weights(events, WIDTH, Decay(2.0), LAMBDA, Powers())
    monkeypatch.setattr(next_item, "EXACT", 0)
    assert not torch.equal(next_item.dense_weights(events, WIDTH, Decay(2.0), LAMBDA, Powers()), exact)
    torch.testing.assert_close(
        next_item.dense_weights(events, WIDTH, Decay(2.0), LAMBDA, Powers()), exact, atol=1e-5, rtol=1e-4
    )
    # Where λ is tiny, single precision is not trusted.
    monkeypatch.setattr(next_item, "CONDITION", 1.0)
    assert torch.equal(next_item.dense_weights(events, WIDTH, Decay(2.0), LAMBDA, Powers()), exact)


@pytest.mark.parametrize("decay", DECAYS.values(), ids=DECAYS)
def test_with_all_neighbours_the_sparse_form_is_the_dense_one(events: Events, decay: Decay) -> None:
    powers = Powers(0.3, 0.5)
    torch.testing.assert_close(
        sparse(events, decay, powers, WIDTH), next_item.dense_weights(events, WIDTH, decay, LAMBDA, powers)
    )


def test_few_neighbours_are_a_regression_on_them(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    decay = DECAYS["a few items"]
    monkeypatch.setattr(next_item, "MERGED", 100)
    weights = sparse(events, decay, Powers(), 6).numpy()
    gram, crossed, _ = written_out(events, decay, Powers())
    for column in range(WIDTH - 1):
        near = np.flatnonzero(weights[:, column])
        assert len(near) == 6
        expected = np.linalg.solve(gram[np.ix_(near, near)], crossed[near, column])
        np.testing.assert_allclose(weights[near, column], expected, atol=1e-5)
        # No item that is left out is met before the target more often than all of those that are there.
        assert crossed[:, column].max() in crossed[near, column]
    assert not weights[:, -1].any()


def test_a_regularisation_that_is_too_small_is_refused() -> None:
    # Item 1 always follows item 0, once: without a penalty there is nothing that item 1 explains.
    pair = Events(torch.tensor([0, 1]), torch.tensor([0, 2]))
    with pytest.raises(SettingError, match=r"regularisation 0\.0"):
        next_item.dense_weights(pair, 2, Decay(1.0), 0.0, Powers())


def test_times_are_needed_where_they_count(events: Events) -> None:
    with pytest.raises(SettingError, match="column of times"):
        next_item.dense_weights(replace(events, times=None), WIDTH, DECAYS["with times"], LAMBDA, Powers())


def test_no_events_are_no_weights() -> None:
    none = Events(torch.zeros(0, dtype=torch.int64), torch.zeros(4, dtype=torch.int64))
    assert not next_item.dense_weights(none, 3, Decay(1.0), LAMBDA, Powers(0.5, 0.5)).any()
    assert not sparse(none, Decay(1.0), Powers(), 3, 3).any()


def sparse(events: Events, decay: Decay, powers: Powers, neighbours: int, width: int = WIDTH) -> torch.Tensor:
    """B as a matrix, from its columns."""
    model = SparseLinear(width, neighbours)
    for part in next_item.sparse_weights(events, width, decay, LAMBDA, powers, neighbours):
        own = slice(part.first, part.first + len(part.weights))
        model.neighbours[own], model.weights[own] = part.neighbours.int(), part.weights
    return torch.stack([model.weights_for(column) for column in range(width)], 1)
