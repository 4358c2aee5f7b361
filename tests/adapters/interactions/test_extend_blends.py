"""Items that only their features know, beside the items of a blend."""

from __future__ import annotations

import pytest
import torch
from planted import GROUPS, ITEMS, RUN, one_thread, planted

from isthmus.errors import InputError
from isthmus_interactions import ItemFeatures, Recommender

PARTS = ["ease", {"model": "mult_dae", "settings": {"code": 8, "epochs": 4, "batch_size": 16, "learning_rate": 0.01}}]
NEW = 1000


def features() -> ItemFeatures:
    """The group of every item, and of one that nobody touched; it is of the last group."""
    ids = [*(10 * item for item in range(GROUPS * ITEMS)), NEW]
    groups = [item // ITEMS for item in range(GROUPS * ITEMS)] + [GROUPS - 1]
    return ItemFeatures.of(ids, torch.nn.functional.one_hot(torch.tensor(groups)).float().numpy())


def test_a_blend_places_new_items_and_stays_as_it_was() -> None:
    with one_thread():
        without_features = Recommender.fit(planted(), "blend", metric="ndcg@5", validation=0.2, run=RUN, parts=PARTS)
        before = {name: tensor.clone() for name, tensor in without_features.model.state_dict().items()}
        whole = without_features.with_features(features())
    for name, tensor in without_features.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    last = [10 * item for item in range(GROUPS * ITEMS - 4, GROUPS * ITEMS)]
    assert NEW in whole.recommend([last], k=ITEMS)[0].ids
    assert whole.facts["features"]["score"] is not None


def test_features_of_nothing_that_was_touched_are_refused_before_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus_interactions.auto.auto.fit", None)
    alien = ItemFeatures.of([5001, 5002], torch.eye(2).numpy())
    with pytest.raises(InputError, match="0 of 2 items"):
        Recommender.fit(planted(), features=alien)
