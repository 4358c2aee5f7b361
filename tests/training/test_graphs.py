"""Steps by graphs, with a stand-in for CUDA's: what is recorded is done again, on the buffers that it read."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.batch import Bag, Vector
from isthmus.core.objectives.schedules import CyclicalAnnealing, DelayedSchedule, LinearAnnealing
from isthmus.models import elsa, mult_dae, mult_vae, rec_vae, variational
from isthmus.protocols import Step
from isthmus.sources import BagSource, VectorSource, few_sizes
from isthmus.training import trainer
from isthmus.training.run import Run
from isthmus.training.steps import graphs
from isthmus.training.steps.step import Terms

WIDTH = 30


class Again:
    """Keeps work and does it again; counts what was recorded."""

    recorded = 0

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        type(self).recorded = 0

    def warm(self, work: Callable[[], Terms]) -> Terms:
        return work()

    def record(self, work: Callable[[], Terms]) -> Callable[[], Terms]:
        type(self).recorded += 1
        return work


class Broken(Again):
    """Cannot record."""

    def record(self, work: Callable[[], Terms]) -> Callable[[], Terms]:
        raise RuntimeError("operation not permitted when stream is capturing")


def bags(rows: int = 90, *, weighted: bool = False) -> BagSource:
    draws = np.random.default_rng(3)
    likes = draws.random((rows, WIDTH)) < draws.random((rows, 1)) * 0.4
    likes[:, 2] |= ~likes.any(1)
    return BagSource.from_csr(csr_array((likes * (draws.integers(1, 4, likes.shape) if weighted else 1)).astype("f4")))


def trained(build: Callable, source: object, monkeypatch: pytest.MonkeyPatch, kind: type | None, **settings: object):
    """A model and its history, with steps as they are written (``kind`` None) or by graphs."""
    monkeypatch.setattr(graphs, "CAPTURES", {} if kind is None else {"cpu": kind})
    # On a CPU every step's loss is looked at before weights see it, which no graph could do.
    monkeypatch.setattr(trainer, "LOOK_EVERY", 1)
    signal = Bag(WIDTH) if isinstance(source, BagSource) else Vector(6)
    recipe = build(signal, generator=torch.Generator().manual_seed(1), **settings)
    history = recipe.fit(source, Run(device="cpu", precision="fp32", seed=4))
    return recipe.model, history


def same(first: torch.nn.Module, second: torch.nn.Module, **tolerance: float) -> None:
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(
            second.state_dict()[name], tensor, **tolerance, msg=lambda text, n=name: f"{n}: {text}"
        )


SMALL = {"epochs": 4, "batch_size": 10}
VAE = {**SMALL, "hidden": 8, "code": 4}


@pytest.mark.parametrize(("build", "settings"), [
    (mult_vae, {**VAE, "annealing": 0.5}), (rec_vae, {**VAE, "epochs": 2}), (mult_dae, {**SMALL, "code": 4}),
])  # fmt: skip
def test_a_replayed_step_is_the_step_that_is_written(monkeypatch, build, settings) -> None:
    """The same filled batches, learning rates and progress, whether steps are recorded or only warm."""
    source = bags()
    with monkeypatch.context() as context:
        context.setattr(graphs, "WARM", 10**6)
        written, first = trained(build, source, context, Again, **settings)
        assert Again.recorded == 0
    replayed, second = trained(build, source, monkeypatch, Again, **settings)
    assert Again.recorded >= 1
    same(written, replayed, rtol=0, atol=0)
    for one, other in zip(first.records, second.records, strict=True):
        assert one["loss"] == other["loss"]


@pytest.mark.parametrize("weighted", [False, True])
def test_filled_batches_and_rates_in_tensors_change_nothing(monkeypatch, weighted) -> None:
    """Without noise, steps by graphs are those of the plain path: entries of weight 0 count nowhere, and a learning
    rate that falls is read anew by each step."""
    source, settings = bags(weighted=weighted), {**SMALL, "code": 4}
    for build, more in ((elsa, {"decay": "cosine"}), (mult_dae, {"dropout": 0.0, "weight_decay": 0.01})):
        plain, _ = trained(build, source, monkeypatch, None, **settings, **more)
        replayed, _ = trained(build, source, monkeypatch, Again, **settings, **more)
        assert Again.recorded >= 1
        same(plain, replayed, rtol=1e-5, atol=1e-6)


def test_dense_rows_have_one_shape(monkeypatch) -> None:
    source = VectorSource(torch.randn(64, 6, generator=torch.Generator().manual_seed(0)))
    settings = {"epochs": 3, "batch_size": 16, "code": 2, "hidden": 5, "annealing": 0.7, "decay": "cosine"}
    plain, _ = trained(variational, source, monkeypatch, None, **settings)
    replayed, _ = trained(variational, source, monkeypatch, Again, **settings)
    assert Again.recorded == 1
    same(plain, replayed, rtol=0, atol=0)


def test_training_goes_on_where_a_step_cannot_be_captured(monkeypatch, caplog) -> None:
    settings = {**SMALL, "code": 4}
    with monkeypatch.context() as context, caplog.at_level(logging.WARNING):
        context.setattr(graphs, "WARM", 10**6)
        written, _ = trained(mult_dae, bags(), context, Again, **settings)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        broken, _ = trained(mult_dae, bags(), monkeypatch, Broken, **settings)
    assert len(caplog.records) == 1
    assert "not permitted when stream is capturing" in caplog.text
    same(written, broken, rtol=0, atol=0)


def test_who_insists_on_graphs_is_told_why_there_are_none(caplog) -> None:
    recipe = mult_dae(Bag(WIDTH), generator=Run().generator(), **SMALL, code=4)
    with caplog.at_level(logging.WARNING):
        recipe.fit(bags(), Run(device="cpu", graphs="auto"))
        assert not caplog.records
        recipe.fit(bags(), Run(device="cpu", graphs=True))
    assert "graphs=True, but device cpu has none" in caplog.text


def test_few_sizes() -> None:
    sizes = [few_sizes(count) for count in range(5000)]
    assert all(size >= count for count, size in enumerate(sizes))
    assert all(size <= max(64, 1.25 * count) for count, size in enumerate(sizes))
    assert len(set(sizes)) <= 30


@pytest.mark.parametrize("weighted", [False, True])
def test_a_filled_batch_holds_the_same_rows(weighted) -> None:
    source, rows = bags(weighted=weighted), torch.tensor([5, 1, 80, 5])
    plain = source.batch(rows).inputs
    layout = source.layout(rows, filled=True)
    filled = source.gathered(layout.numbers, layout.shape).inputs
    count = len(plain.indices)
    assert len(filled.indices) == few_sizes(count) > count
    assert torch.equal(filled.offsets, plain.offsets)
    assert torch.equal(filled.indices[:count], plain.indices)
    assert torch.equal(filled.weights, torch.cat([plain.weights, torch.zeros(len(filled.indices) - count)]))
    assert torch.equal(filled.rows()[:count], plain.rows())
    assert torch.equal(filled.totals(), plain.totals())
    assert filled.ends()[-1] == len(filled.indices)
    for one, other in zip(plain.repeat(2).indices, filled.repeat(2).indices, strict=True):
        assert one == other


@pytest.mark.parametrize("make", [
    lambda: LinearAnnealing(0.3, 0.4), lambda: CyclicalAnnealing(0.7, 3, 0.5, 0.2),
    lambda: DelayedSchedule(LinearAnnealing(0.3), 0.25),
])  # fmt: skip
def test_schedules_take_the_progress_as_a_tensor(make) -> None:
    schedule, step = make(), Step.__new__(Step)
    for progress in (0.0, 0.1, 0.25, 0.4, 0.83, 1.0):
        told = schedule(step, torch.tensor(progress, dtype=torch.float64))
        assert float(told) == pytest.approx(schedule(step, progress), abs=1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("build", "settings"), [(mult_vae, VAE), (rec_vae, {**VAE, "epochs": 2}), (elsa, {**SMALL, "code": 4})]
)
def test_cuda_graphs_train_what_steps_as_written_train(monkeypatch, caplog, build, settings) -> None:
    """The same filled batches and draws; sums in another order differ in the last places."""
    found = []
    for warm in (10**6, graphs.WARM):
        monkeypatch.setattr(graphs, "WARM", warm)
        recipe = build(Bag(WIDTH), generator=torch.Generator().manual_seed(1), **settings)
        with caplog.at_level(logging.WARNING):
            history = recipe.fit(bags(), Run(device="cuda", precision="fp32", graphs=True))
        found.append([record["loss"] for record in history.records])
    assert not caplog.records
    assert found[1] == pytest.approx(found[0], rel=1e-3)
