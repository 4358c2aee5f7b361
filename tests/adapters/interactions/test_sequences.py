"""A model from elsewhere that reads items in order: trained, asked, measured, saved and updated like any other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from planted import RUN, default
from torch import Generator, Tensor, nn

from isthmus import plugins
from isthmus.batch import Bag, Tensors, TokenRows, Tokens, require_tokens
from isthmus.errors import InputError, SettingError
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import Source
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_interactions import Interactions, ItemFeatures, Recommender
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.sequences import SequenceSource, reads_order, token_rows
from isthmus_interactions.splits import leave_last_out


class Markov(nn.Module):
    """A first-order Markov chain: the score of an item is how often it followed the last one of the history."""

    counts: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(width, width))

    @property
    def signal(self) -> Tokens:
        return Tokens(self.width, 4)

    @property
    def width(self) -> int:
        return len(self.counts)

    def prepare(self, inputs: Tensors) -> Tensor:
        tokens = require_tokens(inputs, "a chain")
        last = (tokens.mask.sum(1) - 1).clamp(min=0)
        return tokens.ids.gather(1, last[:, None])[:, 0]

    def scores(self, state: Tensor, columns: Any = None) -> Tensor:
        return self.counts[state][:, slice(None) if columns is None else columns].clone()


@dataclass(frozen=True)
class MarkovRecipe:
    model: Markov

    chooses_epoch = False

    def fit(self, source: Source, run: Run, validation: Any = None) -> History:
        def work() -> dict[str, Any]:
            self.model.counts.zero_()
            inputs = source.batch(torch.arange(len(source))).inputs
            assert isinstance(inputs, TokenRows)
            pairs = inputs.mask[:, 1:]
            places = (inputs.ids[:, :-1][pairs], inputs.ids[:, 1:][pairs])
            self.model.counts.index_put_(places, torch.ones(len(places[0])), accumulate=True)
            return {}

        return fit_in_one_step(self.model, "count", len(source), run, validation, work)


def markov(signal: Bag, *, generator: Generator) -> MarkovRecipe:
    """Markov chain of items."""
    return MarkovRecipe(Markov(signal.width))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = plugins.load("interactions")
    monkeypatch.setitem(plugin.builders, "markov", markov)  # type: ignore[arg-type]


def data(**options: Any) -> Interactions:
    """Sessions a: x y z x, b: y z, c: z x; time runs backwards through the rows."""
    rows = [("a", "x", 1), ("a", "y", 2), ("a", "z", 3), ("a", "x", 4), ("b", "y", 5), ("b", "z", 6), ("c", "z", 7)]
    rows = [*rows, ("c", "x", 8)][::-1]
    names = ("user", "item", "time")
    return Interactions.read(pa.table({n: [row[p] for row in rows] for p, n in enumerate(names)}), **options)


def fit(source: Interactions, **options: Any) -> Recommender:
    return Recommender.fit(source, "markov", **{"validation": 0.0, "run": RUN, **options})


def test_it_counts_what_follows_what_and_recommends_by_the_last_item(tmp_path: Path) -> None:
    recommender = fit(data())
    assert reads_order(recommender.model)
    # x→y once; y→z twice; z→x twice.
    assert recommender.model.counts.tolist() == [[0, 1, 0], [0, 0, 2], [2, 0, 0]]
    recommender.save(tmp_path / "a")
    for one in (recommender, Recommender.load(tmp_path / "a")):
        first, second, third = one.recommend(
            [["y", "x"], ["x", "y"], ["y", "nothing", "x", "y"]], 1, exclude_seen=False
        )
        assert (first.ids, first.scores) == (["y"], [1.0])
        assert (second.ids, second.scores) == (third.ids, third.scores) == (["z"], [2.0])
        assert third.unknown == ["nothing"]
        assert one.score([["x", "y"], ["y", "x"]], ["x", "y", "z", "?"]).tolist() == [
            [0, 0, 2, -np.inf],
            [0, 1, 0, -np.inf],
        ]
        # a and c end with x, after which y comes; b ends with z, after which x comes.
        known = one.recommend_users(["a", "b", "c"], 1, exclude_seen=False)
        assert [answer.ids for answer in known] == [["y"], ["x"], ["y"]]
        (empty,) = one.recommend([[]], 2)
        assert empty.popular
        assert len(empty) == 2
        assert [answer.ids for answer in one.recommend([["x", "y"]], 3)] == [["z"]]


def test_interactions_are_asked_in_their_order() -> None:
    recommender = fit(data())
    asked = recommender.recommend(data(), 1, exclude_seen=False)
    assert [answer.ids for answer in asked] == [["y"], ["x"], ["y"]]
    with pytest.raises(InputError, match="ordered=True"):
        recommender.recommend(data(time=""))


def test_order_is_needed() -> None:
    with pytest.raises(InputError, match="ordered=True"):
        fit(data(time=""))
    backwards = fit(data(time="", ordered=True))
    assert backwards.model.counts.tolist() == [[0, 0, 2], [1, 0, 0], [0, 2, 0]]


def test_it_is_measured_by_what_comes_last() -> None:
    """Everybody goes round in a circle: the next item is always right, and never for a bag."""
    rows = [(u, (u + step) % 12) for u in range(60) for step in range(5)]
    table = pa.table({"user": [u for u, _ in rows], "item": [i for _, i in rows]})
    split = leave_last_out(Interactions.read(table, ordered=True))
    recommender = fit(split.train, validation=split.validation, metric="recall@1")
    assert recommender.history.best_score == 1.0
    # Histories of the test include the validation item, from which it is one step.
    assert recommender.evaluate(split.test, ["recall@1"]).means["recall@1"] == 1.0
    assert fit(Interactions.read(table, ordered=True), validation=0.1).facts["training"]["best_score"] is not None


def test_an_update_counts_what_came_later() -> None:
    later = pa.table({"user": ["b", "d", "d"], "item": ["x", "x", "w"], "time": [9, 1, 2]})
    after = fit(data()).update(later, run=RUN, validation=0.0)
    ids = after.adapter.items.take(range(4))
    assert ids == ["x", "y", "z", "w"]
    assert after.model.counts.tolist() == [[0, 1, 0, 1], [0, 0, 2, 0], [3, 0, 0, 0], [0, 0, 0, 0]]


def test_what_it_cannot_do_is_said() -> None:
    recommender = fit(data())
    features = ItemFeatures.of(["x", "y", "z", "n"], np.eye(4, dtype=np.float32))
    with pytest.raises(SettingError, match="order"):
        recommender.with_features(features)


def test_an_explanation_leaves_each_item_out() -> None:
    recommender = fit(data())
    counts = recommender.model.counts
    found = dict(zip(*(lambda answer: (answer.ids, answer.scores))(recommender.explain(["x", "y"], "z")), strict=True))
    # Without x the last item is y as before; without y it is x.
    x, y, z = recommender.adapter.items.rows(["x", "y", "z"])
    assert found == {"y": float(counts[y, z] - counts[x, z]), "x": 0.0}
    assert recommender.explain(["x"], "y").ids == ["x"]


def test_models_of_bags_see_nothing_of_the_order() -> None:
    one, other = (Recommender.fit(data(**o), "ease", validation=0.0, run=RUN) for o in ({}, {"time": ""}))
    assert not reads_order(default("mult_vae").model)
    assert one.recommend([["x"]]) == other.recommend([["x"]])


def test_token_rows_are_the_last_items() -> None:
    histories = OrderedHistories.of(np.array([0, 0, 0, 2]), np.array([5, 6, 7, 1]), None, 3)
    rows = token_rows(histories, 2)
    assert rows.ids.tolist() == [[6, 7], [0, 0], [1, 0]]
    assert rows.mask.tolist() == [[True, True], [False, False], [True, False]]
    source = SequenceSource.of(histories, 2)
    assert source.lengths.tolist() == [2, 0, 1]
    assert source.batch(torch.tensor([2])).inputs.ids.tolist() == [[1]]
