"""Token ids on disk and as batches."""

from __future__ import annotations

import gc
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import InputError, SettingError, SourceError
from isthmus.protocols import Source
from isthmus_text.files import packed
from isthmus_text.tokens import store as storing
from isthmus_text.tokens.source import TokenSource
from isthmus_text.tokens.store import TokenStore

ROWS = [[5, 6, 2], [2], [7, 8, 9, 10, 2]]


def rows_of(store):
    return [store[row] for row in range(len(store))]


@pytest.mark.parametrize(("vocabulary", "dtype"), [(11, "uint16"), (65_535, "uint16"), (65_536, "int32")])
def test_written_and_opened(tmp_path, vocabulary, dtype):
    rows = [*ROWS, [vocabulary - 1, 2]]
    written = TokenStore.write(tmp_path / "new" / "store", iter(rows), vocabulary)
    opened = TokenStore.open(tmp_path / "new" / "store")
    temporary = TokenStore.temporary(iter(rows), vocabulary)
    for store in (written, opened, temporary):
        assert rows_of(store) == rows
        assert store.tokens.dtype == dtype
        assert store.offsets.dtype == np.int64
        assert (store.vocabulary, store.truncated, store.max_length) == (vocabulary, 0, 5)
        with pytest.raises(ValueError, match="read-only"):
            store.tokens[0] = 1


def test_long_rows_are_cut_and_counted(tmp_path):
    for store in (TokenStore.write(tmp_path, ROWS, 11, max_length=3), TokenStore.temporary(ROWS, 11, max_length=3)):
        assert rows_of(store) == [[5, 6, 2], [2], [7, 8, 2]]
        assert store.truncated == 1
    assert TokenStore.open(tmp_path).truncated == 1
    shortest = TokenStore.temporary(ROWS, 11, max_length=1)
    assert rows_of(shortest) == [[2], [2], [2]]
    assert shortest.truncated == 2


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 70_000), min_size=1)), st.integers(1, 9))
def test_whatever_is_stored_comes_back(rows, held):
    kept, storing._BUFFER = storing._BUFFER, held
    try:
        assert rows_of(TokenStore.temporary(rows, 70_001)) == rows
    finally:
        storing._BUFFER = kept


def test_no_rows(tmp_path):
    for store in (TokenStore.write(tmp_path, [], 11), TokenStore.open(tmp_path), TokenStore.temporary([], 11)):
        assert len(store) == 0
        assert store.max_length == 0
        source = TokenSource(store, 4)
        assert len(source.lengths) == 0
        assert source.batch(torch.arange(0)).inputs.ids.shape == (0, 0)


def test_ids_outside_the_vocabulary_name_their_row(monkeypatch, tmp_path):
    for id_, vocabulary in [(-1, 11), (11, 11), (65_536, 100), (70_000, 70_000)]:
        for held in (1, 100):
            monkeypatch.setattr(storing, "_BUFFER", held)
            with pytest.raises(InputError, match=f"row 3 .*{id_}"):
                TokenStore.temporary([*ROWS, [3, id_, 2]], vocabulary)


def test_a_folder_with_something_in_it(tmp_path):
    TokenStore.write(tmp_path, ROWS, 11)
    with pytest.raises(InputError, match="exists"):
        TokenStore.write(tmp_path, ROWS, 11)


@pytest.mark.parametrize("name", [storing.TOKENS, storing.OFFSETS, storing.ABOUT])
def test_stores_that_are_not_whole(tmp_path, name):
    TokenStore.write(tmp_path, ROWS, 11)
    whole = (tmp_path / name).read_bytes()
    for part in (whole[:-8], whole[:-1], b""):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(SourceError, match="store"):
            TokenStore.open(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(SourceError, match="store"):
        TokenStore.open(tmp_path)


def test_stores_of_another_format(tmp_path):
    TokenStore.write(tmp_path, ROWS, 11)
    about = json.loads((tmp_path / storing.ABOUT).read_text())
    for wrong in ({**about, "format": 2}, {**about, "rows": 2}, {"format": 1}, []):
        (tmp_path / storing.ABOUT).write_text(json.dumps(wrong))
        with pytest.raises(SourceError, match="store"):
            TokenStore.open(tmp_path)
    (tmp_path / storing.ABOUT).write_text(json.dumps(about))
    (tmp_path / storing.OFFSETS).write_bytes(np.array([0, 4, 3, 9]).tobytes())
    with pytest.raises(SourceError, match="store"):
        TokenStore.open(tmp_path)


@pytest.mark.slow
def test_large_temporary_stores_leave_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(packed, "IN_MEMORY", 4)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = TokenStore.temporary(ROWS, 11)
    source = TokenSource(store, 5)
    del store
    gc.collect()
    assert source.batch(torch.tensor([2])).inputs.ids.tolist() == [[7, 8, 9, 10, 2]]
    del source
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_batches_are_padded_to_their_longest():
    source = TokenSource(TokenStore.temporary(ROWS, 11), 8)
    assert isinstance(source, Source)
    assert len(source) == 3
    assert source.lengths.tolist() == [3, 1, 5]
    batch = source.batch(torch.tensor([0, 1, 0]))
    assert batch.inputs is batch.targets
    assert batch.rows.tolist() == [0, 1, 0]
    assert batch.inputs.ids.tolist() == [[5, 6, 2], [2, 0, 0], [5, 6, 2]]
    assert batch.inputs.mask.tolist() == [[True] * 3, [True, False, False], [True] * 3]
    assert source.batch(torch.tensor([2, 1])).inputs.ids.shape == (2, 5)
    places = batch.inputs.places
    assert places.lengths.tolist() == [3, 1, 3]
    assert (places.full, source.batch(torch.tensor([0, 0])).inputs.places.full) == (False, True)
    assert batch.inputs.real().tolist() == batch.inputs.mask.flatten().nonzero()[:, 0].tolist()


def test_every_batch_is_its_rows():
    for vocabulary in [11, 70_000]:
        generator = np.random.default_rng(0)
        rows = [generator.integers(0, vocabulary, generator.integers(1, 9)).tolist() for _ in range(50)]
        source = TokenSource(TokenStore.temporary(rows, vocabulary), 8)
        wanted = torch.randperm(50, generator=torch.Generator().manual_seed(0))
        tokens = source.batch(wanted).inputs
        assert [ids[mask].tolist() for ids, mask in zip(tokens.ids, tokens.mask, strict=True)] == [
            rows[r] for r in wanted
        ]
        assert bool((tokens.ids[~tokens.mask] == 0).all())


def test_on_another_device():
    source = TokenSource(TokenStore.temporary(ROWS, 11), 8).to(torch.device("meta"))
    batch = source.batch(torch.tensor([0, 1]))
    assert {tensor.device.type for tensor in (batch.rows, batch.inputs.ids, batch.inputs.mask)} == {"meta"}
    assert source.lengths.device.type == "cpu"
    assert batch.inputs.ids.shape == (2, 3)


def test_rows_longer_than_the_signal():
    with pytest.raises(InputError, match="a row of 5 tokens"):
        TokenSource(TokenStore.temporary(ROWS, 11), 4)
    with pytest.raises(SettingError, match="length=0"):
        TokenSource(TokenStore.temporary([], 11), 0)
