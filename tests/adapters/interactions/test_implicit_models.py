"""``implicit``'s models: trained there, taken over trained, and asked, saved and loaded without it."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import ITEMS, RUN, changed, default, planted, trained
from scipy.sparse import csr_matrix

from isthmus.batch import Bag, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import InputError, MissingLibraryError, NonFiniteLossError, SettingError
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.protocols import RankingReadout
from isthmus.sources import BagSource, VectorSource
from isthmus.training.history import History
from isthmus.training.progress import NoProgress
from isthmus_interactions import Recommender
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.datasets import demo_goodbooks
from isthmus_interactions.factorisation import implicit_training
from isthmus_interactions.factorisation.implicit_models import als, bpr
from isthmus_interactions.splits import strong

pytest.importorskip("implicit", reason="als and bpr need implicit")

NAMES = ("als", "bpr")


@cache
def made_there(name: str) -> Any:
    """A model that ``implicit`` has trained on the planted data."""
    library = implicit_training.library()
    if name == "als":
        model = library.als(6, 0.1, iterations=8, num_threads=1, random_state=5)
    else:
        model = library.bpr(6, 0.05, iterations=60, num_threads=1, random_state=5)
    model.fit(csr_matrix(planted().matrix), show_progress=False)
    return model


def taken(name: str) -> Recommender:
    return Recommender.from_implicit(made_there(name), planted(), {0: "the first"})


def test_groups_are_found(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        for make in [default, taken]:
            with subtests.test(name=name, make=make):
                recommender = make(name)
                for answer in recommender.recommend([[0, 10, 20, 30], [80, 90, 110]], k=3):
                    groups = {id_ // 10 // ITEMS for id_ in answer.ids}
                    assert groups == ({0} if answer.ids[0] < 80 else {1})
                assert {id_ // 10 // ITEMS for id_ in recommender.similar_items([100], k=5)[0].ids} == {1}
                nearest = recommender.similar_users([[160, 170, 180, 190]], k=5)[0].ids
                assert {(person - 1000) % 3 for person in nearest} == {2}
                assert recommender.similar_users([[]], k=5)[0].ids == []


def test_the_own_group_speaks_for_an_item(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            answer = default(name).explain([0, 10, 80], 20)
            assert answer.ids[-1] == 80
            assert answer.scores[0] > 0 > answer.scores[-1] - answer.scores[0]


def test_an_index_ranks_as_the_model_does(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            recommender, model = default(name), default(name).model
            assert isinstance(model, Autoencoder)
            readout = model.readout
            assert isinstance(readout, RankingReadout)
            bags = BagSource.from_csr(planted().matrix).batch(torch.arange(7)).inputs
            queries = readout.queries(model.decode(model.encode(bags).point)).detach()
            found = ExactSearcher.build(readout.vectors(), "ip").search(queries, 24)
            scores = recommender.ranker.scores(recommender.ranker.prepare(bags))
            torch.testing.assert_close(scores.gather(1, found.rows), found.scores)
            assert bool((found.scores.diff(dim=1) <= 0).all())


def test_the_factors_are_implicits(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            theirs, ours = made_there(name).item_factors, taken(name)
            np.testing.assert_array_equal(ours.model.readout.weight.numpy(force=True), theirs[:, :6])
            biases = theirs[:, 6] if name == "bpr" else np.zeros(24)
            np.testing.assert_array_equal(ours.model.readout.bias.numpy(force=True), biases)
            assert ours.settings["factors"] == 6
            assert ours.facts["trained_by"].startswith("implicit ")
            assert ours.titles == {0: "the first"}
            assert ours.history.records == []
            if name == "bpr":
                assert ours.settings["learning_rate"] == 0.05
                people = np.diff(planted().matrix.tocsc().indptr)
                np.testing.assert_allclose(ours.model.encoder.opponents.shares, people / people.sum(), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [default, taken])
def test_saved_loaded_and_asked_without_the_library(
    name: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender = make(name)
    for module in ("implicit", "implicit.cpu", "implicit.cpu.als", "implicit.cpu.bpr"):
        monkeypatch.setitem(sys.modules, module, None)
    recommender.save(tmp_path / "saved")
    loaded = Recommender.load(tmp_path / "saved")
    assert (loaded.builder, loaded.settings) == (name, recommender.settings)
    assert loaded.recommend([[0, 10], []], 5) == recommender.recommend([[0, 10], []], 5)
    assert loaded.similar_items([10], 3) == recommender.similar_items([10], 3)
    with pytest.raises(MissingLibraryError, match=r'pip install "isthmus\[implicit\]"'):
        trained(name)


@pytest.mark.slow
def test_the_plugin_does_not_import_it() -> None:
    code = "import sys, isthmus_interactions.plugin; sys.exit('implicit' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_same_seed_gives_the_same_factors(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            one, two = trained(name).model.state_dict(), default(name).model.state_dict()
            other = trained(name, run=replace(RUN, seed=1)).model.state_dict()
            assert all(torch.equal(one[key], two[key]) for key in one)
            assert not torch.equal(one["readout.weight"], other["readout.weight"])


def test_other_models_are_refused() -> None:
    from implicit.nearest_neighbours import CosineRecommender

    for wrong in (CosineRecommender(), "als", None):
        with pytest.raises(SettingError, match="AlternatingLeastSquares"):
            Recommender.from_implicit(wrong, planted())


def test_a_model_on_a_gpu_is_told_the_way() -> None:
    kind = type("AlternatingLeastSquares", (), {"__module__": "implicit.gpu.als"})
    with pytest.raises(SettingError, match="to_cpu"):
        Recommender.from_implicit(kind(), planted())


def test_an_untrained_model_is_refused() -> None:
    with pytest.raises(SettingError, match="not trained"):
        Recommender.from_implicit(implicit_training.library().als(3), planted())


def test_other_data_are_refused(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            data = planted()
            for wrong in (data.select_items(np.arange(23)), data.select_users(np.arange(89))):
                with pytest.raises(InputError, match="90 users and 24 items"):
                    Recommender.from_implicit(made_there(name), wrong)


def test_broken_factors_are_refused() -> None:
    model = implicit_training.library().als(3, iterations=1, num_threads=1)
    model.fit(csr_matrix(planted().matrix), show_progress=False)
    model.item_factors[2, 1] = np.nan
    with pytest.raises(NonFiniteLossError, match="regularisation"):
        Recommender.from_implicit(model, planted())


def test_training_that_explodes_is_named() -> None:
    with pytest.raises(NonFiniteLossError, match="smaller learning rate"):
        trained("bpr", learning_rate=1e30)


def test_settings_without_meaning_are_refused(subtests: pytest.Subtests) -> None:
    for builder, settings in [
        (als, {"factors": 0}),
        (als, {"alpha": 0.0}),
        (als, {"iterations": 0}),
        (als, {"regularisation": -0.1}),
        (bpr, {"learning_rate": 0.0}),
        (bpr, {"regularisation": -0.1}),
        (bpr, {"negatives": 0}),
        (bpr, {"prior": 0.0}),
    ]:
        with subtests.test(settings=settings), pytest.raises(SettingError, match=next(iter(settings))):
            builder(Bag(5), generator=torch.Generator(), **settings)


def test_only_bags_can_be_trained_on() -> None:
    with pytest.raises(SettingError, match=Values.__name__):
        als(Bag(3), generator=torch.Generator()).fit(VectorSource(torch.zeros(2, 3)), RUN)


class Wishing(NoProgress):
    """Presses Ctrl-C after an epoch."""

    def __init__(self) -> None:
        self.epochs: list[Any] = []

    def epoch(self, record: Any) -> None:
        self.epochs.append(record)
        if len(self.epochs) == 2:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_it_between_two_passes(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            told = Wishing()
            recommender = trained(name, run=replace(RUN, progress=told), iterations=50)
            assert recommender.history.interrupted
            assert [record["epoch"] for record in told.epochs] == [1, 2, 3]
            assert len(recommender.history.records) == 3
            assert recommender.recommend([[0, 10]], 3)[0].ids


@pytest.mark.parametrize("name", NAMES)
def test_after_ctrl_c_it_is_not_trained_again_on_everybody(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, train = [], implicit_training._train

    def counting(*given: Any) -> Any:
        sizes.append(given[2].shape[0])
        return train(*given)

    monkeypatch.setattr(implicit_training, "_train", counting)
    assert trained(name, run=replace(RUN, progress=Wishing()), iterations=50, validation=0.2).history.interrupted
    assert sizes == [72]


def test_time_and_epochs_have_limits(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            late = trained(name, run=replace(RUN, time_limit=1e-9), iterations=50).history
            assert (len(late.records), late.out_of_time, late.interrupted) == (1, True, False)
            until = trained(name, run=replace(RUN, until=4), iterations=50).history
            assert (len(until.records), until.out_of_time) == (4, False)


def test_the_score_is_taken_at_the_end_and_everybody_trains(subtests: pytest.Subtests) -> None:
    for name in NAMES:
        with subtests.test(name=name):
            history: History = trained(name, validation=0.2).history
            assert [history.metric in record for record in history.records] == [False] * (len(history.records) - 1) + [
                True
            ]
            assert history.best_epoch == len(history.records)
            assert history.best_score is not None
            assert history.best_score > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), [("als", {}), ("bpr", {"iterations": 60})])
def test_books_are_ranked_better_than_by_popularity(name: str, settings: dict[str, Any]) -> None:
    """Readers who were never seen, on the bundled sample."""
    split = strong(demo_goodbooks()[0], held_out=250, seed=0)
    recommender = Recommender.fit(split.train, name, validation=0.0, run=RUN, factors=32, **settings)
    popular = changed(recommender, model=Popularity.of(split.train.matrix))
    score, bar = (made.evaluate(split.test, ["ndcg@100"]).means["ndcg@100"] for made in (recommender, popular))
    assert score > 1.3 * bar
