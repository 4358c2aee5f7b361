import numpy as np
import pyarrow as pa
import pytest
import torch

from isthmus.batch import Bag
from isthmus.errors import BundleError, InputError
from isthmus.protocols import Adapter
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.interactions import Interactions

EVENTS = pa.table({"user": ["b", "a", "b"], "item": [10, 20, 30]})


def test_an_adapter_reads_fits_and_prepares():
    records = InteractionsAdapter.read(EVENTS)
    adapter = InteractionsAdapter.fit(records)
    assert isinstance(adapter, Adapter)
    assert adapter.signal == Bag(3)
    bags = adapter.prepare(records).batch(torch.tensor([1, 0])).inputs
    assert bags.indices.tolist() == [0, 2, 1]
    assert bags.offsets.tolist() == [0, 2, 3]
    assert bags.weights.tolist() == [1, 1, 1]


def test_other_people_are_mapped_onto_the_catalogue():
    adapter = InteractionsAdapter.fit(Interactions.read(EVENTS))
    strangers = Interactions.read(pa.table({"user": [1, 1, 2], "item": [30, 99, 98]}))
    source = adapter.prepare(strangers)
    assert len(source) == 2
    assert source.lengths.tolist() == [1, 0]
    assert source.batch(torch.tensor([0])).inputs.indices.tolist() == [2]


def test_state_is_text_that_restores():
    adapter = InteractionsAdapter.fit(Interactions.read(EVENTS))
    restored = InteractionsAdapter.restore(adapter.state())
    assert restored.items == adapter.items
    assert restored.users == adapter.users
    np.testing.assert_array_equal(restored.items.ids, [10, 20, 30])


def test_an_incomplete_or_foreign_state():
    state = InteractionsAdapter.fit(Interactions.read(EVENTS)).state()
    with pytest.raises(BundleError, match=r"no users\.json"):
        InteractionsAdapter.restore({"items.json": state["items.json"]})
    with pytest.raises(InputError, match="vocabulary"):
        InteractionsAdapter.restore({**state, "items.json": "[]"})
