"""The picture of a recommender, and the scores that it is drawn from."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from isthmus.plots import Missing, Panel, overview
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.overview.held_out import measured
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.splits import FoldIn

pytest.importorskip("matplotlib")


def table(users, items):
    return Interactions.read(pa.table({"user": users, "item": items}))


@pytest.fixture(scope="module")
def events():
    """Two groups of users with items of their own, of which some are popular."""
    g = np.random.default_rng(0)
    rows = []
    for user in range(240):
        weights = 1.0 / np.arange(1, 31)
        own = g.choice(30, size=int(g.integers(6, 14)), replace=False, p=weights / weights.sum()) + 30 * (user % 2)
        rows += [(f"u{user}", f"i{item}") for item in own]
    return table([user for user, _ in rows], [item for _, item in rows])


def names(recommender):
    found = recommender.panels()
    return [one.name for one in found if isinstance(one, Panel)], {
        one.name: one.why for one in found if isinstance(one, Missing)
    }


def test_a_model_in_closed_form_stands_beside_popularity(events):
    made = Recommender.fit(events, "ease", validation=0.2, progress=False)
    shown, missing = names(made)
    assert shown == ["scores", "scores by history", "popularity"]
    assert set(missing) == {"training"}
    scores, by_history, popularity = overview(made).axes
    assert [label.get_text() for label in scores.get_yticklabels()] == ["ease", "popularity"]
    assert "ndcg@100; higher is better" in scores.get_xlabel()
    assert "history" in by_history.get_xlabel()
    assert len(popularity.patches) == 10
    kept = made.facts["held_out"]
    assert kept["model"]["mean"] == pytest.approx(made.history.best_score)
    assert kept["difference"]["mean"] == pytest.approx(kept["model"]["mean"] - kept["popularity"]["mean"])
    assert sum(group["users"] for group in kept["by_history"]) == kept["users"]


def test_a_trained_model_has_a_curve_and_without_held_out_users_no_scores(events):
    shown, _ = names(Recommender.fit(events, "mult-vae", epochs=2, batch_size=60, validation=0.2, progress=False))
    assert shown[:2] == ["scores", "training"]
    _, missing = names(Recommender.fit(events, "ease", validation=0.0, progress=False))
    assert set(missing) == {"scores", "training", "scores by history"}


@pytest.mark.slow
def test_auto_shows_what_was_tried_with_intervals_and_the_parts_of_a_blend(events):
    made = Recommender.fit(events, time_limit=4.0, validation=0.2, progress=False)
    shown, _ = names(made)
    scores = overview(made).axes[0]
    tried = [line for line in made.facts["tried"] if line["ndcg@100"] is not None]
    assert len(scores.get_yticklabels()) == min(12, len(tried)) + 1
    assert all(line["standard_error"] > 0 for line in tried)
    assert ("blend" in shown) == (made.builder == "blend")


def test_groups_by_history_are_of_these_users_and_hold_each_once(events):
    histories = csr_array(np.tri(40, 50, 8, dtype=np.float32))
    held_out = csr_array(np.eye(40, 50, 9, dtype=np.float32))
    fold = FoldIn(histories, held_out, list(range(40)))
    everybody = table(np.repeat(range(60), 50), np.tile(range(50), 60))
    model = Recommender.fit(everybody, "popularity", validation=0.0, progress=False)
    kept = measured(model.model, fold, histories, "recall@20", model.fitted.device)
    groups = kept["by_history"]
    assert [group["users"] for group in groups] == [10, 10, 10, 10]
    assert all(one["most"] < other["least"] for one, other in pairwise(groups))
    assert measured(model.model, fold, histories, "coverage@10", model.fitted.device) is None
