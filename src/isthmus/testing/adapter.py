"""Contract tests for adapters. Derive a test class for a new adapter:

class TestFrames(AdapterContract):
    adapter = FrameAdapter

    def records(self):
        return FrameAdapter.read("tone.wav")

    def foreign(self):
        return FrameAdapter.read("tone.wav", length=128)
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pytest
import torch

from isthmus.batch import Bag, Bags, Batch, Grid, Histories, Signal, Tensors, TokenRows, Tokens, Values, Vector
from isthmus.capabilities import missing_members
from isthmus.errors import IsthmusError
from isthmus.protocols import Adapter, Source
from isthmus.testing._same import same


class AdapterContract(ABC):
    """Tests for one adapter.

    Attributes:
        adapter: the class under test.
    """

    adapter: ClassVar[type[Adapter]]

    @abstractmethod
    def records(self) -> Any:
        """Records to fit and prepare: at least two rows, the same ones at every call."""

    @abstractmethod
    def foreign(self) -> Any:
        """Records of the same kind, some of which hold what ``fit`` on ``records`` never saw."""

    def test_satisfies_the_protocol(self) -> None:
        """A fitted adapter is an ``Adapter`` and its source a ``Source``."""
        fitted = self.adapter.fit(self.records())
        assert not missing_members(fitted, Adapter)
        assert isinstance(fitted.signal, Bag | Vector | Tokens | Grid)
        assert not missing_members(fitted.prepare(self.records()), Source)

    def test_leaves_records_as_they_were(self) -> None:
        """Neither ``fit`` nor ``prepare`` changes its argument."""
        records = self.records()
        before = copy.deepcopy(records)
        self.adapter.fit(records).prepare(records)
        assert same(records, before), "fit or prepare changed the records"

    def test_batches_match_the_signal(self) -> None:
        """Whole and in part, batches hold what the signal describes."""
        fitted = self.adapter.fit(self.records())
        source = fitted.prepare(self.records())
        rows = torch.arange(len(source))
        assert len(source) >= 2, "the contract needs at least two rows"
        assert len(source.lengths) == len(source)
        for chosen in (rows, rows.flip(0)[:1], rows[:0]):
            check_batch(source.batch(chosen), chosen, fitted.signal)

    def test_a_batch_is_its_rows(self) -> None:
        """Many rows at once are the rows one by one, in the order asked for."""
        source = self.adapter.fit(self.records()).prepare(self.records())
        rows = torch.arange(len(source)).flip(0)
        together = source.batch(rows)
        for place, row in enumerate(rows):
            alone = source.batch(row.reshape(1))
            assert same(row_of(together.inputs, place), row_of(alone.inputs, 0))
            assert same(row_of(together.targets, place), row_of(alone.targets, 0))

    def test_state_restores_the_adapter(self) -> None:
        """Texts in, texts out: the restored adapter prepares identical batches."""
        fitted = self.adapter.fit(self.records())
        state = fitted.state()
        assert all(isinstance(name, str) and isinstance(text, str) for name, text in state.items())
        restored = self.adapter.restore(dict(state))
        assert restored.signal == fitted.signal
        assert dict(restored.state()) == dict(state)
        assert same(all_rows(restored.prepare(self.records())), all_rows(fitted.prepare(self.records())))

    def test_the_unknown_is_dropped_or_refused(self) -> None:
        """What ``fit`` never saw becomes no row or column of its own: it is left out, or a typed error."""
        fitted = self.adapter.fit(self.records())
        signal = fitted.signal
        try:
            source = fitted.prepare(self.foreign())
        except IsthmusError:
            return
        rows = torch.arange(len(source))
        check_batch(source.batch(rows), rows, signal)
        assert fitted.signal == signal, "prepare changed the adapter"

    def test_is_deterministic(self) -> None:
        """The same records give the same adapter and the same batches, whatever the global random state is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            first = self.adapter.fit(self.records())
            batch = all_rows(first.prepare(self.records()))
            torch.manual_seed(2)
            second = self.adapter.fit(self.records())
            assert dict(first.state()) == dict(second.state())
            assert same(batch, all_rows(second.prepare(self.records())))

    def test_refuses_a_foreign_state(self) -> None:
        """A state that is another adapter's is a typed error, not a half-restored adapter."""
        with pytest.raises((IsthmusError, KeyError)):
            self.adapter.restore({"not-a-state-of-this-adapter": "{}"})


def all_rows(source: Source) -> Batch:
    """The whole source as one batch."""
    return source.batch(torch.arange(len(source)))


def check_batch(batch: Batch, rows: torch.Tensor, signal: Signal) -> None:
    """Assert that a batch holds the given rows and that inputs and targets are what the signal describes."""
    assert torch.equal(batch.rows, rows)
    for tensors in (batch.inputs, batch.targets):
        assert tensors.size == len(rows)
        _check_tensors(tensors, signal)


def row_of(tensors: Tensors, row: int) -> dict[str, torch.Tensor]:
    """One row's own tensors, without the padding that other rows caused."""
    if isinstance(tensors, Bags):
        entries = slice(int(tensors.offsets[row]), int(tensors.offsets[row + 1]))
        return {"indices": tensors.indices[entries], "weights": tensors.weights[entries]}
    if isinstance(tensors, TokenRows):
        return {"ids": tensors.ids[row][tensors.mask[row]]}
    if isinstance(tensors, Histories):
        return row_of(tensors.bags, row) | row_of(tensors.tokens, row)
    return {"values": tensors.values[row]}


def _check_tensors(tensors: Tensors, signal: Signal) -> None:
    match signal, tensors:
        case Bag(width), Bags(indices, offsets, weights):
            assert bool(((indices >= 0) & (indices < width)).all()), "an index outside the bag's width"
            assert int(offsets[0]) == 0
            assert int(offsets[-1]) == len(indices) == len(weights)
            assert bool((offsets.diff() >= 0).all())
            assert bool(torch.isfinite(weights).all())
        case Tokens(vocabulary, length), TokenRows(ids, mask):
            assert ids.shape == mask.shape
            assert ids.shape[1] <= length
            assert bool(((ids >= 0) & (ids < vocabulary)).all()), "a token outside the vocabulary"
        case Vector(width), Values(values):
            assert values.shape[1:] == (width,)
            assert bool(torch.isfinite(values).all())
        case Grid(channels, height, width), Values(values):
            assert values.shape[1:] == (channels, height, width)
            assert bool(torch.isfinite(values).all())
        case _:
            raise AssertionError(f"a batch of {type(tensors).__name__} for the signal {signal}")
