"""Features of items in training: rows beside those of users, chosen on held-out users, and neighbours by content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import RUN
from scipy.sparse import csr_array

from isthmus.batch import Bag
from isthmus.errors import SettingError
from isthmus.models import edlae, mult_dae, mult_vae, rec_vae, sparse_linear
from isthmus.sources import BagSource
from isthmus.training.run import Run
from isthmus_interactions import ItemFeatures, Recommender
from isthmus_interactions.cold_start.in_training import FACT, counts, feature_rows, given, weights_to_try
from isthmus_interactions.interactions import Interactions

ITEMS, GROUPS = 60, 20
TAGS = np.eye(GROUPS, dtype=np.float32)[np.arange(ITEMS) % GROUPS]


def sparse_data(users: int = 90) -> Interactions:
    """Users who have two of the three items of two groups each, so few that pairs of items are rare."""
    draws = np.random.default_rng(1)
    rows = np.zeros((users, ITEMS), np.float32)
    for user, row in enumerate(rows):
        for group in (user % GROUPS, int(draws.integers(GROUPS))):
            row[draws.choice(np.arange(group, ITEMS, GROUPS), 2, replace=False)] = 1
    return Interactions.from_csr(csr_array(rows))


@pytest.fixture(scope="module")
def data() -> Interactions:
    return sparse_data()


@pytest.fixture(scope="module")
def features() -> ItemFeatures:
    return ItemFeatures.of(range(ITEMS), TAGS)


@pytest.mark.parametrize(("builder", "own"), [(edlae, {}), (sparse_linear, {"neighbours": ITEMS})])
def test_features_are_weighed_rows(data: Interactions, features: ItemFeatures, builder: Any, own: Any) -> None:
    """The model is that of the matrix with further rows √v Fᵀ."""
    weight, settings = 7.0, {"regularisation": 2.0, "dropout": 0.2, **own}
    rows = feature_rows(features, data.items, data.matrix)
    generator = torch.Generator().manual_seed(0)
    recipe = given(builder(Bag(ITEMS), generator=generator, feature_weight=weight, **settings), rows)
    recipe.fit(BagSource.from_csr(data.matrix), Run(device="cpu"))
    stacked = np.vstack([data.matrix.toarray(), np.sqrt(weight) * TAGS.T]).astype(np.float32)
    plain = builder(Bag(ITEMS), generator=generator, **settings)
    plain.fit(BagSource.from_csr(csr_array(stacked)), Run(device="cpu"))
    for column in range(ITEMS):
        found, expected = recipe.model.weights_for(column), plain.model.weights_for(column)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_only_items_of_the_data_have_rows_and_those_without_features_have_none(data: Interactions) -> None:
    ids = [5, 0, 1000]
    rows = feature_rows(ItemFeatures.of(ids, np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 1.0]])), data.items, data.matrix)
    expected = np.zeros((2, ITEMS))
    expected[:, 5], expected[:, 0] = [0.6, 0.8], [0.0, 1.0]
    np.testing.assert_allclose(rows.toarray(), expected, atol=1e-6)


def test_the_weight_is_chosen_on_held_out_users_and_stored(
    data: Interactions, features: ItemFeatures, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"run": RUN, "metric": "ndcg@10", "validation": 0.2, "regularisation": 20.0}
    plain = Recommender.fit(data, "edlae", **how)
    made = Recommender.fit(data, "edlae", features=features, **how)
    tried = made.facts[FACT]
    assert [one["feature_weight"] for one in tried] == sorted({one["feature_weight"] for one in tried})
    assert len(tried) == len(weights_to_try(data))
    assert made.settings["feature_weight"] == max(tried, key=lambda one: one["score"])["feature_weight"] > 0
    assert made.history.best_score == pytest.approx(max(one["score"] for one in tried))
    assert (made.history.best_score or 0) > (plain.history.best_score or 0)
    made.save(tmp_path / "b")
    assert Recommender.load(tmp_path / "b").recommend([[0, GROUPS]]) == made.recommend([[0, GROUPS]])


def test_a_given_weight_is_not_searched(data: Interactions, features: ItemFeatures) -> None:
    made = Recommender.fit(data, "ease", features=features, run=RUN, feature_weight=0.0)
    assert FACT not in made.facts
    assert made.settings["feature_weight"] == 0.0


def test_new_items_are_ranked_as_before(data: Interactions) -> None:
    more = ItemFeatures.of(range(ITEMS + 1), np.vstack([TAGS, TAGS[:1]]))
    made = Recommender.fit(data, "edlae", features=more, run=RUN, feature_weight=3.0)
    assert ITEMS in made.adapter.items
    scores = made.score([[0, GROUPS]], [ITEMS, 1])[0]
    assert scores[0] > scores[1]


def test_neighbours_by_content_are_cosines_of_features(data: Interactions, features: ItemFeatures) -> None:
    made = Recommender.fit(data, "content-knn", features=features, run=RUN, neighbours=ITEMS)
    cosines = TAGS @ TAGS.T
    np.fill_diagonal(cosines, 0.0)
    np.testing.assert_allclose(made.score([[0, 4]], list(range(ITEMS)))[0], cosines[0] + cosines[4], atol=1e-6)


def test_parts_of_a_blend_receive_features(data: Interactions, features: ItemFeatures) -> None:
    part = {"model": "ease", "settings": {"feature_weight": 2.0, "regularisation": 5.0}}
    made = Recommender.fit(data, "blend", parts=[part, "content-knn"], features=features, run=RUN)
    assert counts(made.builder, made.settings)
    assert set(made.recommend([[0, GROUPS]], k=1)[0].ids) <= set(range(0, ITEMS, GROUPS))


@pytest.mark.slow
def test_auto_tries_features(data: Interactions, features: ItemFeatures, monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus_interactions.auto import search

    monkeypatch.setattr(search, "networks", lambda data, ordered=False: [])
    tried = Recommender.fit(data, features=features, run=RUN, metric="ndcg@10").facts["tried"]
    assert any(line["settings"].get("feature_weight") for line in tried)
    assert "content_knn" in {line["model"] for line in tried}


def test_without_features_it_is_said_what_is_missing(data: Interactions, features: ItemFeatures) -> None:
    for model, settings in (
        ("content-knn", {}),
        ("edlae", {"feature_weight": 3.0}),
        ("edlae", {"feature_weight": -1.0}),
    ):
        with pytest.raises(SettingError, match="feature"):
            Recommender.fit(data, model, run=RUN, **settings)
    made = Recommender.fit(data, "edlae", features=features, run=RUN, feature_weight=3.0)
    with pytest.raises(SettingError, match="features of items"):
        made.update(([1], [2]), run=RUN)


NETWORKS: list[tuple[Any, dict[str, Any]]] = [
    (mult_dae, {"code": 6}),
    (mult_vae, {"code": 6, "hidden": 8}),
    (rec_vae, {"code": 6, "hidden": 8}),
]


def network(builder: Any, settings: dict[str, Any], weight: float, **plan: Any) -> Any:
    whole = {"epochs": 3, "batch_size": 30, "patience": None, **settings, **plan}
    return builder(Bag(ITEMS), generator=torch.Generator().manual_seed(0), feature_weight=weight, **whole)


@pytest.mark.parametrize(("builder", "settings"), NETWORKS)
def test_features_are_a_second_input_of_networks_in_training_alone(
    data: Interactions, features: ItemFeatures, builder: Any, settings: dict[str, Any]
) -> None:
    """Afterwards the network has the same tensors as without features, but not the same numbers."""
    rows, source, run = feature_rows(features, data.items, data.matrix), BagSource.from_csr(data.matrix), RUN
    plain = network(builder, settings, 0.0)
    unused, made = (given(network(builder, settings, weight), rows) for weight in (0.0, 1.0))
    for recipe in (plain, unused, made):
        recipe.fit(source, run)
    before, same, after = (recipe.model.state_dict() for recipe in (plain, unused, made))
    assert {name: tensor.shape for name, tensor in before.items()} == {name: t.shape for name, t in after.items()}
    assert all(torch.equal(before[name], same[name]) for name in before)
    assert not torch.equal(before["encoder.table"], after["encoder.table"])
    assert not torch.equal(before["readout.weight"], after["readout.weight"])


@pytest.mark.slow
def test_items_with_the_same_tag_get_rows_that_are_alike(data: Interactions, features: ItemFeatures) -> None:
    """Of an item that nobody has, a network knows only its tag."""
    lonely, alike = ITEMS - 1, np.flatnonzero(TAGS[:, (ITEMS - 1) % GROUPS])[:-1]
    matrix = data.matrix.toarray()
    matrix[:, lonely] = 0
    train = Interactions.from_csr(csr_array(matrix))
    rows = feature_rows(features, train.items, train.matrix)
    found = []
    for weight in (0.0, 1.0):
        recipe = given(network(mult_dae, {"code": 6}, weight, epochs=30, learning_rate=0.01), rows)
        recipe.fit(BagSource.from_csr(train.matrix), RUN)
        vectors = recipe.model.readout.vectors()[:, :-1]
        cosines = torch.cosine_similarity(vectors[lonely][None], vectors)
        found.append(float(cosines[torch.from_numpy(alike)].mean() - cosines.mean()))
    assert found[1] > found[0] + 0.1


def test_whether_a_network_learns_from_features_is_chosen_on_held_out_users(
    data: Interactions, features: ItemFeatures, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"run": RUN, "metric": "ndcg@10", "validation": 0.2, "epochs": 3, "batch_size": 30, "code": 6}
    made = Recommender.fit(data, "mult-dae", features=features, learning_rate=0.01, **how)
    tried = made.facts[FACT]
    assert [one["feature_weight"] for one in tried] == [0.0, 1.0]
    assert made.settings["feature_weight"] == max(tried, key=lambda one: one["score"])["feature_weight"]
    assert made.facts["fitted_on_everybody"] == ["mult_dae"]
    told = Recommender.fit(data, "mult-dae", features=features, feature_weight=1.0, **how)
    assert FACT not in told.facts
    assert counts(told.builder, told.settings)
    told.save(tmp_path / "b")
    assert Recommender.load(tmp_path / "b").recommend([[0, GROUPS]]) == told.recommend([[0, GROUPS]])


def test_a_training_with_features_goes_on_where_it_was(
    data: Interactions, features: ItemFeatures, tmp_path: Path
) -> None:
    rows, source = feature_rows(features, data.items, data.matrix), BagSource.from_csr(data.matrix)
    whole, half = (given(network(mult_vae, {"code": 6, "hidden": 8}, 1.0), rows) for _ in range(2))
    whole.fit(source, RUN)
    half.fit(source, replace(RUN, checkpoints=tmp_path, every=1, until=1))
    again = given(network(mult_vae, {"code": 6, "hidden": 8}, 1.0), rows)
    again.fit(source, replace(RUN, checkpoints=tmp_path, resume=True))
    for name, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], tensor)


@pytest.mark.parametrize("settings", [{"feature_weight": -1.0}, {"feature_weight": 1.0, "negatives": 5}])
def test_weights_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="feature_weight"):
        mult_vae(Bag(ITEMS), generator=torch.Generator(), **settings)


def test_tables_of_other_items_are_refused(data: Interactions, features: ItemFeatures) -> None:
    """Of tables that are cut by rows a process has a part."""
    rows = feature_rows(features, data.items, data.matrix)
    recipe = given(network(mult_dae, {"code": 6}, 1.0), csr_array(rows[:, : ITEMS // 2]))
    with pytest.raises(SettingError, match="cut by rows"):
        recipe.fit(BagSource.from_csr(data.matrix), RUN)
