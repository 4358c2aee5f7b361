"""Chances that are told are those with which hits were drawn, and nothing else of an answer changes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from planted import GROUPS, ITEMS, RUN, SMALL, changed, default, one_thread, planted
from scipy.sparse import csr_array
from scipy.special import expit

from isthmus.cli import main
from isthmus.errors import BundleError, InputError, SettingError
from isthmus.metrics.calibration import calibration_error
from isthmus_interactions import Interactions, ItemFeatures, Recommender
from isthmus_interactions.calibration import chances
from isthmus_interactions.calibration.chances import Calibration
from isthmus_interactions.calibration.curve import LEAST, Curve
from isthmus_interactions.calibration.logistic import logistic_regression
from isthmus_interactions.calibration.outcomes import Outcomes
from isthmus_interactions.splits import hide

# --- curves ----------------------------------------------------------------------------------------------------------


def test_a_curve_pools_neighbours_that_descend() -> None:
    hits = np.concatenate([np.arange(100) < share for share in (10, 30, 20, 60)])
    curve = Curve.fit(np.repeat([1.0, 2.0, 3.0, 4.0], 100), hits)
    assert curve.at(np.array([0.0, 1.0, 2.0, 2.5, 3.0, 4.0, 9.0])).tolist() == pytest.approx(
        [0.1, 0.1, 0.25, 0.25, 0.25, 0.6, 0.6]
    )


def test_few_hits_at_the_end_are_no_certainty() -> None:
    scores = np.arange(102.0)
    curve = Curve.fit(scores, scores >= 100)
    assert curve.chances[-1] == pytest.approx(2 / LEAST)


def test_weights_count_as_often_as_they_say() -> None:
    scores, hits, weights = np.repeat([1.0, 2.0], [2, 2]), np.array([0, 1, 0, 1], bool), np.array([90.0, 10, 60, 40])
    assert Curve.fit(scores, hits, weights).at(np.array([1.0, 2.0])).tolist() == pytest.approx([0.1, 0.4])


def test_a_mixture_lies_between_a_curve_and_a_function() -> None:
    curve = Curve(np.array([1.0, 2.0]), np.array([0.2, 0.8]))
    mixed = curve.towards(lambda scores: scores / 4, 0.25, np.array([0.0, 4.0]))
    assert mixed.at(np.array([0.0, 1.0, 1.5, 2.0, 4.0])).tolist() == pytest.approx([0.05, 0.2375, 0.40625, 0.575, 0.95])
    assert Curve.from_json(mixed.to_json()).scores.tolist() == [0, 1, 2, 4]


# --- chances with which hits were drawn ------------------------------------------------------------------------------


def drawn(users: int, seed: int, items: int = 30) -> tuple[Outcomes, np.ndarray]:
    """Users whose hits were drawn with chances that depend on the score, the length of the history, and the place."""
    generator = np.random.default_rng(seed)
    scores = -np.sort(-generator.normal(size=(users, items)) - generator.normal(size=(users, 1)), 1)
    lengths = generator.integers(5, 200, users)
    true = expit(1.2 * scores + 0.8 * np.log(lengths / 30)[:, None] - 0.3 * np.log(np.arange(1, items + 1)) - 1)
    hits = generator.random(scores.shape) < true
    none = (np.array([-5.0, -5.0]), np.array([False, False]), np.ones(2))
    return Outcomes(scores, hits, lengths, hits.sum(1), *none), true


def test_told_chances_are_those_of_the_draw() -> None:
    learnt = Calibration.fit(drawn(2000, 1)[0], "drawn")
    asked, true = drawn(2000, 2)
    told = learnt.chances(asked.scores, asked.scores, asked.lengths)
    assert np.abs(told - true).mean() < 0.03
    assert calibration_error(told, asked.hits) < 0.02
    assert learnt.seen.error is not None
    assert learnt.seen.error < 0.02
    short, long = asked.lengths < 30, asked.lengths > 100
    for some in (short, long):
        assert told[some].sum(1).mean() == pytest.approx(true[some].sum(1).mean(), rel=0.05)


def test_from_few_users_little_is_learnt_about_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def distance() -> float:
        asked, true = drawn(500, 100)
        learnt = [Calibration.fit(drawn(60, seed)[0], "drawn") for seed in range(6)]
        return float(np.mean([np.abs(one.chances(asked.scores, asked.scores, asked.lengths) - true) for one in learnt]))

    doubted = distance()
    monkeypatch.setattr(chances, "DOUBTED", 0)
    assert doubted < 0.9 * distance()


def test_too_few_users_or_hits_are_an_error() -> None:
    with pytest.raises(InputError, match="29 users"):
        Calibration.fit(drawn(29, 1)[0], "drawn")
    found = drawn(100, 1)[0]
    hitless = replace(found, hits=np.zeros_like(found.hits))
    with pytest.raises(InputError, match="0 hits"):
        Calibration.fit(hitless, "drawn")


def test_signs_of_coefficients_are_kept() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(2000, 2))
    hits = generator.random(2000) < expit(features[:, 0] - features[:, 1])
    free = logistic_regression(features, hits, (0, 0))
    assert free[1:] == (pytest.approx(1, abs=0.2), pytest.approx(-1, abs=0.2))
    bound = logistic_regression(features, hits, (0, 1))
    assert bound[2] == 0
    assert bound[1] > 0.5


# --- recommenders ----------------------------------------------------------------------------------------------------


@cache
def recommender(model: str = "ease") -> Recommender:
    """Of the 8 items of a group a user has h and one hidden one: each of the others is it with a chance of 1 / (8 − h),
    and items of other groups never are."""
    return default(model).calibrate(planted(900, seed=9), split="users")


@pytest.mark.parametrize("model", ["ease", "mult_vae", "popularity"])
def test_a_recommender_tells_the_chances_of_planted_hits(model: str) -> None:
    own = recommender(model)
    for length in (4, 5, 6):
        answer = own.recommend([[10 * item for item in range(length)]], k=ITEMS - length, calibrated=True)[0]
        assert answer.chances is not None
        assert answer.expected_hits == pytest.approx(sum(filter(None, answer.chances)))
        if model != "popularity":
            assert answer.chances == pytest.approx([1 / (ITEMS - length)] * (ITEMS - length), abs=0.12)
            assert answer.expected_hits == pytest.approx(1, abs=0.2)
        else:
            # One of three groups is right, and popularity does not know which.
            assert answer.expected_hits < 0.6


def test_a_fit_that_holds_users_out_can_tell_chances() -> None:
    with one_thread():
        data = planted(700, seed=3)
        fitted = Recommender.fit(data, "ease", run=RUN, **SMALL["ease"])
        assert Recommender.fit(data, "ease", run=RUN, validation=0.0, **SMALL["ease"]).calibration is None
    assert fitted.calibration is not None
    assert (fitted.calibration.seen.users, fitted.calibration.seen.hidden) == (70, 1)
    answer = fitted.recommend([[0, 10, 20, 30]], k=4, calibrated=True)[0]
    assert answer.expected_hits == pytest.approx(1, abs=0.4)


def test_auto_and_blends_can_tell_chances() -> None:
    with one_thread():
        fitted = Recommender.fit(planted(400, seed=3), run=replace(RUN, time_limit=2.0))
    assert fitted.calibration is not None
    assert fitted.recommend([[0, 10, 20, 30]], calibrated=True)[0].expected_hits is not None


def test_models_of_order_can_tell_chances() -> None:
    generator = np.random.default_rng(0)
    # Each user walks around a circle of 12 items; the next item is known, unless the step was skipped.
    starts = generator.integers(0, 12, 400)
    rows = [(user, (start + step) % 12, 100 * step) for user, start in enumerate(starts) for step in range(6)]
    data = Interactions.read(pd.DataFrame(rows, columns=["user", "item", "time"]))
    with one_thread():
        fitted = Recommender.fit(data, "sequence_linear", run=RUN)
    assert fitted.calibration is not None
    assert fitted.calibration.seen.hit == "the one item that was hidden from the user"
    answer = fitted.recommend([[3, 4, 5, 6, 7]], k=3, calibrated=True)[0]
    assert answer.ids[0] == 8
    assert answer.chances is not None
    assert answer.chances[0] is not None
    assert answer.chances[0] > 0.5


def test_the_ranking_stays_and_the_chance_of_an_item_does_not_depend_on_filters() -> None:
    own, history = recommender(), [[0, 10, 20, 30]]
    plain, told = own.recommend(history, k=10)[0], own.recommend(history, k=10, calibrated=True)[0]
    assert plain.chances is None
    assert (plain.ids, plain.scores) == (told.ids, told.scores)
    assert told.chances is not None
    assert told.chances == sorted(told.chances, reverse=True)
    chance = dict(zip(told.ids, told.chances, strict=True))
    for answer in (
        own.recommend(history, k=2, allow=told.ids[3:6], calibrated=True)[0],
        own.recommend(history, k=3, exclude=told.ids[:1], calibrated=True)[0],
        own.recommend(history, k=3, diversity=0.5, calibrated=True)[0],
    ):
        assert answer.chances == pytest.approx([chance[id_] for id_ in answer.ids])


def test_items_of_the_history_have_no_chance() -> None:
    answer = recommender().recommend([[0, 10, 20, 30]], k=8, exclude_seen=False, calibrated=True)[0]
    assert answer.chances is not None
    none = {id_ for id_, chance in zip(answer.ids, answer.chances, strict=True) if chance is None}
    assert none == {0, 10, 20, 30} & set(answer.ids)
    assert none


def test_items_that_only_their_features_know_have_no_chance() -> None:
    tags = np.repeat(np.eye(GROUPS, dtype=np.float32), ITEMS, axis=0)
    ids = [*(10 * item for item in range(len(tags))), 1000]
    features = ItemFeatures.of(ids, csr_array(np.vstack([tags, tags[:1]])))
    wider = recommender().with_features(features, boost=5.0)
    answer = wider.recommend([[0, 10, 20, 30]], k=10, calibrated=True)[0]
    assert answer.chances is not None
    by_id = dict(zip(answer.ids, answer.chances, strict=True))
    assert by_id[1000] is None
    assert by_id[40] is not None


@pytest.mark.filterwarnings("ignore::isthmus.errors.UnknownHistoryWarning")
@pytest.mark.parametrize(
    ("history", "why"),
    [
        ([], "no item of the history is known"),
        ([999], "no item of the history is known"),
        ([0, 10], "the history has 2 items, those of the calibration 4 to 6"),
        ([*range(0, 90, 10)], "the history has 9 items"),
        ([0, 10, 20, 30, *range(900, 905)], "5 of the 9 items of the history are unknown"),
        ({0: 50.0, 10: 50.0, 20: 50.0, 30: 50.0}, "score unlike those of all users"),
    ],
)
def test_too_little_is_known(history: object, why: str) -> None:
    answer = recommender().recommend([history], k=3, calibrated=True)[0]  # type: ignore[list-item]
    assert why in answer.too_little
    assert (answer.chances, answer.expected_hits) == ([None] * 3, None)
    assert any("too little is known" in remark for remark in answer.remarks())


def test_tables_documents_and_files_have_chances(tmp_path: Path) -> None:
    own = recommender()
    answers = own.recommend([[0, 10, 20, 30], []], k=3, calibrated=True)
    table = answers.to_arrow()
    first, second = answers[0].chances, answers[1].chances
    assert first is not None
    assert second is not None
    assert table.column("chance").to_pylist() == first + second
    assert answers[0][:2].chances == first[:2]
    assert [item for item, _, _ in answers[0]] == answers[0].ids
    document = answers[0].to_json()
    assert [one["chance"] for one in document["items"]] == first
    assert document["expected_hits"] == answers[0].expected_hits
    assert "hits expected" in repr(answers)
    assert "chance" in answers[0]._repr_html_()
    own.recommend_all(tmp_path / "all.parquet", k=2, calibrated=True)
    of_user = own.recommend_users([1000], k=2, calibrated=True)[0].chances
    assert of_user is not None
    assert pq.read_table(tmp_path / "all.parquet").column("chance").to_pylist()[:2] == pytest.approx(of_user)
    own.recommend_all(tmp_path / "all.parquet", k=2)
    assert "chance" not in pq.read_table(tmp_path / "all.parquet").column_names


def test_without_a_calibration_the_error_says_how_to_get_one() -> None:
    with pytest.raises(SettingError, match=r"without a calibration.*validation=0\.1.*calibrate\(DATA\)"):
        default("ease").recommend([[0]], calibrated=True)
    with pytest.raises(InputError, match="at least 30 users"):
        default("ease").calibrate(planted(20, seed=5), split="users")


def test_a_given_fold_is_learnt_from() -> None:
    fold = hide(planted(300, seed=6), 0.4, np.random.default_rng(0))
    made = default("ease").calibrate(fold)
    assert made.calibration is not None
    assert made.calibration.seen.hidden == pytest.approx(fold.held_out.nnz / len(fold))
    assert default("ease").calibration is None


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    recommender().save(tmp_path / "saved")
    history = [[0, 10, 20, 30]]
    before, after = (
        one.recommend(history, calibrated=True)[0] for one in (recommender(), Recommender.load(tmp_path / "saved"))
    )
    assert after.chances == before.chances
    changed(recommender(), calibration=None).save(tmp_path / "saved")
    assert Recommender.load(tmp_path / "saved").calibration is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda saved: saved.pop("first"),
        lambda saved: saved["first"]["chances"].reverse(),
        lambda saved: saved["last"].update(scores=[1.0]),
        lambda saved: saved.update(coefficients=[1.0]),
        lambda saved: saved["seen"].update(more=1),
        lambda saved: saved["seen"].update(shortest="1"),
        lambda saved: saved["seen"].update(lowest=[]),
        lambda saved: saved.update(seen=[]),
        lambda saved: saved.update(first=3),
        lambda saved: saved["others"].update(chances=[2.0], scores=[0.0]),
        lambda saved: saved.update(coefficients=["x"] * 6),
    ],
)
def test_a_damaged_calibration_is_a_typed_error(spoil: object) -> None:
    calibration = recommender().calibration
    assert calibration is not None
    saved = json.loads(json.dumps(calibration.to_json()))
    spoil(saved)  # type: ignore[operator]
    with pytest.raises(BundleError):
        Calibration.from_json(saved)


# --- the command line ------------------------------------------------------------------------------------------------


def test_commands_tell_chances(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    default("ease").save(tmp_path / "plain")
    data = planted(200, seed=5)
    rows, columns = data.matrix.nonzero()
    lines = [f"{5000 + row},{10 * column}" for row, column in zip(rows, columns, strict=True)]
    (tmp_path / "others.csv").write_text("\n".join(["user,item", *lines]), encoding="utf-8")
    plain, told = str(tmp_path / "plain"), str(tmp_path / "told")
    assert main(["recommend", plain, "--history", "0,10,20,30", "--calibrated"]) == 2
    assert "isthmus calibrate DIR FILE" in capsys.readouterr().err
    assert main(["calibrate", plain, str(tmp_path / "others.csv"), "--out", told, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["users"] == sum(np.diff(data.matrix.indptr) >= 5)
    assert main(["recommend", told, "--history", "0,10,20,30", "--calibrated", "-k", "4", "--json"]) == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["expected_hits"] == pytest.approx(sum(one["chance"] for one in answer["items"]))
    assert "hits expected among 4 items" in printed.err
    assert main(["recommend", told, "--history", "0", "--calibrated"]) == 0
    assert "too little is known to tell chances" in capsys.readouterr().err
    assert main(["recommend", told, "--history", "0,10,20,30", "--calibrated"]) == 0
    assert "%" in capsys.readouterr().out
    out = str(tmp_path / "all.parquet")
    assert main(["recommend", told, "--users", "all", "--calibrated", "--out", out]) == 0
    assert "chance" in pq.read_table(out).column_names
