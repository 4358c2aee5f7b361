"""The recipe of a sparse linear model, and what the dense ones say where they do not fit."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.batch import Bag
from isthmus.bundle.tensors import state_of
from isthmus.core.linear import columnwise
from isthmus.core.linear.dense import inverse
from isthmus.errors import SettingError
from isthmus.machine import hardware
from isthmus.models import ease, edlae, sparse_linear
from isthmus.models import linear as linear_models
from isthmus.models.recipes.rebuild import rebuild
from isthmus.sources import BagSource, VectorSource
from isthmus.training.progress import NoProgress, Record
from isthmus.training.run import Run, Validation

WIDTH = 20


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def data() -> csr_array:
    return csr_array((np.random.default_rng(0).random((60, WIDTH)) < 0.3).astype(np.float32))


@dataclass
class Told:
    """A progress that writes down what it hears."""

    lines: list[Any] = field(default_factory=list)
    stops_at: int = 10**9

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        self.lines.append((epochs, rows, metric))

    def step(self, rows: int, loss: float) -> None:
        self.lines.append((rows, loss))
        if len(self.lines) > self.stops_at:
            raise KeyboardInterrupt

    def epoch(self, record: Record) -> None:
        self.lines.append(dict(record))

    def stop(self) -> None:
        self.lines.append("stop")


@pytest.mark.parametrize("xi", [0.0, 0.2])
def test_with_every_item_as_neighbour_it_is_the_dense_model(data: csr_array, xi: float) -> None:
    settings: dict[str, Any] = {"regularisation": 2.0, "dropout": 0.3}
    recipe = sparse_linear(Bag(WIDTH), generator=generator(), neighbours=WIDTH + 5, xi=xi, **settings)
    for _ in range(2):
        recipe.fit(BagSource.from_csr(data), Run(device="cpu"))
        columns = torch.stack([recipe.model.weights_for(column) for column in range(WIDTH)], 1)
        np.testing.assert_allclose(columns.numpy(), inverse(data, 2.0, 0.3).weights(xi), atol=2e-6)
    assert not recipe.chooses_epoch


def test_settings_share_neighbours_and_gram_blocks(data: csr_array, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made once while they fit into what may be kept, and again otherwise; the weights are the same."""
    made: list[slice] = []
    real = columnwise._made
    monkeypatch.setattr(columnwise, "_made", lambda problem, columns: made.append(columns) or real(problem, columns))
    monkeypatch.setattr(columnwise, "LOCAL_BYTES", 4 * 5**2 * 7)  # seven columns at a time: three blocks
    source = BagSource.from_csr(data)
    for kept, times in ((1 << 30, 3), (0, 6)):
        made.clear()
        first = sparse_linear(Bag(WIDTH), generator=generator(), neighbours=5, regularisation=2.0)
        prepared = first.prepare(source, kept)
        for regularisation, xi in ((2.0, 0.0), (9.0, 0.3)):
            settings: dict[str, Any] = {"neighbours": 5, "regularisation": regularisation, "xi": xi}
            plain, shared = (sparse_linear(Bag(WIDTH), generator=generator(), **settings) for _ in range(2))
            replace(shared, prepared=prepared).fit(source, Run(device="cpu"))
            count = len(made)
            plain.fit(source, Run(device="cpu"))
            del made[count:]
            torch.testing.assert_close(shared.model.weights, plain.model.weights)
            assert torch.equal(shared.model.neighbours, plain.model.neighbours)
        assert len(made) == times


def test_progress_counts_columns_and_the_score_is_taken_once(data: csr_array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.core.linear.columnwise.SOLVED_BYTES", 8 * 25 * 6)
    told = Told()
    recipe = sparse_linear(Bag(WIDTH), generator=generator(), neighbours=5, regularisation=2.0)
    history = recipe.fit(BagSource.from_csr(data), Run(device="cpu", progress=told), Validation("n", lambda model: 0.5))
    start, *steps, record, stop = told.lines
    assert start == (1, WIDTH, "n")
    assert [rows for rows, _ in steps] == [6, 6, 6, 2]
    assert 0 < steps[-1][1] < 1
    assert stop == "stop"
    assert record == history.records[0]
    assert (record["loss"], record["n"], history.best_score) == (steps[-1][1], 0.5, 0.5)


def test_an_interruption_leaves_the_model_as_it_was(data: csr_array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.core.linear.columnwise.SOLVED_BYTES", 8 * 25 * 6)
    told, recipe = Told(stops_at=2), sparse_linear(Bag(WIDTH), generator=generator(), neighbours=5, regularisation=2.0)
    with pytest.raises(KeyboardInterrupt):
        recipe.fit(BagSource.from_csr(data), Run(device="cpu", progress=told))
    assert told.lines[-1] == "stop"
    assert not recipe.model.weights.any()


def test_what_was_saved_is_rebuilt_from_settings_and_width(data: csr_array) -> None:
    settings: dict[str, Any] = {"neighbours": 4, "regularisation": 3.0, "xi": 0.1}
    model = sparse_linear(Bag(WIDTH), generator=generator(), **settings)
    model.fit(BagSource.from_csr(data), Run(device="cpu"))
    again: Any = rebuild(sparse_linear, Bag(WIDTH), settings, state_of(model.model))
    bags: Any = BagSource.from_csr(data).batch(torch.arange(3)).inputs
    torch.testing.assert_close(again.scores(bags), model.model.scores(bags))


def test_the_memory_is_told_before_it_is_taken(data: csr_array, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "isthmus.models.sparse_linear"):
        sparse_linear(Bag(WIDTH), generator=generator()).fit(BagSource.from_csr(data), Run(device="cpu"))
    assert "20 columns takes about" in caplog.text


@pytest.mark.parametrize(
    "settings", [{"neighbours": 0}, {"regularisation": 0.0}, {"dropout": 1.0}, {"xi": -0.1}, {"xi": 1.1}]
)
def test_settings_without_meaning_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(settings))):
        sparse_linear(Bag(5), generator=generator(), **settings)


def test_only_bags_can_be_solved() -> None:
    with pytest.raises(SettingError, match="expected bags"):
        sparse_linear(Bag(5), generator=generator()).fit(VectorSource(torch.ones(3, 5)), Run(progress=NoProgress()))


# --- what the dense models say ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("builder", [ease, edlae])
def test_dense_models_name_those_that_fit(builder: Any) -> None:
    with pytest.raises(SettingError, match="use sparse-linear or elsa"):
        builder(Bag(linear_models.LARGEST + 1), generator=generator())


def test_a_dense_model_asks_for_the_memory_that_is_free(data: csr_array, monkeypatch: pytest.MonkeyPatch) -> None:
    """12 bytes a pair of items at first, 8 when the weights of an earlier fit are there."""
    recipe = edlae(Bag(WIDTH), generator=generator(), regularisation=2.0)
    monkeypatch.setattr(linear_models, "available_bytes", lambda: 12 * WIDTH**2 - 1)
    with pytest.raises(SettingError, match=r"20 items.*sparse-linear"):
        recipe.fit(BagSource.from_csr(data), Run(device="cpu"))
    for free in (12 * WIDTH**2, 8 * WIDTH**2, None):
        monkeypatch.setattr(linear_models, "available_bytes", lambda free=free: free)
        recipe.fit(BagSource.from_csr(data), Run(device="cpu"))


def test_free_memory_is_read_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 900 kB\nMemAvailable:     345 kB\n")
    monkeypatch.setattr(hardware, "MEMINFO", told)
    assert hardware.available_bytes() == 345 * 1024
    for nothing in ("MemTotal: 900 kB\n", "MemAvailable: much kB\n", "MemAvailable:\n"):
        told.write_text(nothing)
        monkeypatch.setattr(os, "sysconf", {"SC_AVPHYS_PAGES": 7, "SC_PAGE_SIZE": 100}.__getitem__)
        assert hardware.available_bytes() == 700
    monkeypatch.setattr(hardware, "MEMINFO", tmp_path / "none")
    monkeypatch.delattr(os, "sysconf")
    assert hardware.available_bytes() is None
