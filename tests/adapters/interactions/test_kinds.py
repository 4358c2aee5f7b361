"""The five kinds of autoencoder as recommenders: they find planted groups, answer, explain and come back from disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from planted import GROUPS, ITEMS, default, planted, trained

from isthmus_interactions import Recommender

KINDS = ("vanilla", "variational", "denoising", "sparse", "contractive")


@pytest.mark.slow
def test_strangers_get_the_items_of_their_group(subtests: pytest.Subtests) -> None:
    for kind in KINDS:
        for group in range(GROUPS):
            with subtests.test(kind=kind, group=group):
                own = [10 * (group * ITEMS + i) for i in range(ITEMS)]
                (answer,) = default(kind).recommend([own[:3]], k=5)
                assert set(answer.ids) == set(own[3:])


def test_alike_people_are_of_one_group(subtests: pytest.Subtests) -> None:
    for kind in KINDS:
        with subtests.test(kind=kind):
            recommender = default(kind)
            (answer,) = recommender.similar_users([[0, 10, 20]], k=5)
            assert {(person - 1000) % GROUPS for person in answer.ids} == {0}


def test_saved_and_loaded(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for kind in KINDS:
        with subtests.test(kind=kind):
            recommender = default(kind)
            recommender.save(tmp_path / "model")
            again = Recommender.load(tmp_path / "model")
            before, after = recommender.recommend([[0, 10]], k=4)[0], again.recommend([[0, 10]], k=4)[0]
            assert before.ids == after.ids
            np.testing.assert_allclose(before.scores, after.scores, rtol=1e-6)
            assert again.builder == kind


def test_some_people_choose_the_best_epoch() -> None:
    recommender = trained("sparse", planted(), validation=0.1, epochs=3)
    assert recommender.history.best_epoch in (1, 2, 3)
