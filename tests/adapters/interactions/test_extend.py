"""Items that only their features know: a place in the ranking, and nothing changes for the others."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
import torch
from planted import GROUPS, ITEMS, default, one_thread, planted, trained
from scipy.sparse import csr_array

from isthmus.batch import Bags
from isthmus.cli import main
from isthmus.core.rankers import ranker_of
from isthmus.errors import BundleError, InputError, SettingError
from isthmus.models import ease
from isthmus.protocols import Ranker
from isthmus.testing.ranker import RankerContract
from isthmus_interactions import Interactions, ItemFeatures, Recommender
from isthmus_interactions.cold_start.extend import FACTS, rebuilt
from isthmus_interactions.cold_start.features import Matrix
from isthmus_interactions.cold_start.ranker import NEAR, ColdStartRanker
from isthmus_interactions.cold_start.ridge import mixing

NEW = [1000 + group for group in range(GROUPS)]
BUILDERS = ("ease", "mult_vae")


def about(names: str = "", new: bool = True) -> ItemFeatures:
    """Every item has the tag of its group and one of its own; the new ones have that of their group."""
    old = [f"{names}i{i}" for i in range(GROUPS * ITEMS)] if names else [10 * i for i in range(GROUPS * ITEMS)]
    group = np.repeat(np.eye(GROUPS, dtype=np.float32), ITEMS, axis=0)
    tags = np.hstack([group, 0.1 * np.eye(len(group), dtype=np.float32)])
    late = np.hstack([np.eye(GROUPS, dtype=np.float32), np.zeros((GROUPS, len(group)), np.float32)])
    ids: Any = [*old, *([f"{names}{i}" for i in NEW] if names else NEW)] if new else old
    titles = {NEW[0]: "New", 0: "Old"} if not names else {}
    return ItemFeatures.of(ids, csr_array(np.vstack([tags, late]) if new else tags), titles=titles)


@cache
def extended(model: str) -> Recommender:
    with one_thread():
        return default(model).with_features(about())


class TestContract(RankerContract):
    @pytest.fixture(autouse=True, params=BUILDERS)
    def _model(self, request: pytest.FixtureRequest) -> None:
        self.model = request.param

    def ranker(self) -> Ranker:
        return ranker_of(extended(self.model).model)

    def bags(self) -> Bags:
        indices = torch.tensor([0, 3, 24, 17, 9, 26])
        return Bags(indices, torch.tensor([0, 3, 3, 5, 6]), torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0, 1.0]))


def test_a_new_item_belongs_to_the_people_of_its_group(subtests: pytest.Subtests) -> None:
    for model in BUILDERS:
        with subtests.test(model=model):
            for group in range(GROUPS):
                history = [10 * (group * ITEMS + i) for i in range(4)]
                scores = extended(model).score([history], NEW)[0]
                assert scores.argmax() == group
                (answer,) = extended(model).recommend([history], k=6)
                assert NEW[group] in answer.ids


def test_old_rows_stay_and_keep_their_scores(subtests: pytest.Subtests) -> None:
    for model in BUILDERS:
        with subtests.test(model=model):
            old, new = default(model), extended(model)
            ids = old.adapter.items.ids.tolist()
            assert new.adapter.items.ids.tolist() == ids + NEW
            histories: Any = [[0, 10, 20], [90], {80: 2.0, 160: 1.0}]
            np.testing.assert_array_equal(new.score(histories, ids), old.score(histories, ids))
            assert old.adapter.items.ids.tolist() == ids
            answers = [new.recommend(histories, 5, allow=ids), old.recommend(histories, 5)]
            assert [a.ids for a in answers[0]] == [a.ids for a in answers[1]]
            assert new.similar_users(histories, 3) == old.similar_users(histories, 3)
            assert new.without_features().recommend(histories, 5) == old.recommend(histories, 5)


def test_scores_are_what_the_formula_says() -> None:
    recommender, features = extended("ease"), about()
    choice, known = recommender.facts[FACTS], GROUPS * ITEMS
    assert (choice["items_with_both"], choice["new_items"]) == (known, GROUPS)
    history = np.zeros((1, known), np.float32)
    history[0, [1, 4, 9]] = 1
    scores = default("ease").score([[10, 40, 90]], [10 * i for i in range(known)])
    rows: Matrix = features.rows(np.arange(known))
    mixed = mixing(rows, features.rows(known + np.arange(GROUPS)), choice["regularisation"], choice["power"])
    expected = scores.mean() + choice["model"] * mixed.of(scores) + choice["history"] * mixed.of(history)
    np.testing.assert_allclose(recommender.score([[10, 40, 90]], NEW), expected, rtol=1e-4, atol=1e-5)


def test_boost_widens_what_stands_above_the_mean() -> None:
    with one_thread():
        twice = default("ease").with_features(about(), boost=2.0)
    history = [[0, 10, 20]]
    level = default("ease").score(history, [10 * i for i in range(GROUPS * ITEMS)]).mean()
    once = extended("ease").score(history, NEW)
    np.testing.assert_allclose(twice.score(history, NEW) - level, 2 * (once - level), rtol=1e-4, atol=1e-6)


def test_new_items_in_every_answer(subtests: pytest.Subtests) -> None:
    for model in BUILDERS:
        with subtests.test(model=model):
            recommender = extended(model)
            (near,) = recommender.similar_items([NEW[1]], 4)
            assert all(id_ // 10 // ITEMS == 1 for id_ in near.ids)
            assert NEW[1] in recommender.similar_items([80], 8)[0].ids
            # A history of a new item alone: those who stand for it speak for its group, and it is not answered itself.
            (answer,) = recommender.recommend([[NEW[2]]], 5)
            assert not answer.popular
            assert NEW[2] not in answer.ids
            assert all(id_ // 10 // ITEMS == 2 for id_ in answer.ids)
            assert recommender.explain([0, 90], NEW[0]).ids[0] == 0
            people = [
                recommender.adapter.users.rows([id_])[0] % GROUPS
                for id_ in recommender.similar_users([[NEW[1]]], 5)[0].ids
            ]
            assert people == [1] * 5
            assert recommender.titles[NEW[0]] == "New"


def test_items_of_the_catalogue_that_nobody_touched_are_placed_too() -> None:
    data = planted()
    matrix = csr_array(np.hstack([data.matrix.toarray(), np.zeros((len(data), GROUPS), np.float32)]))
    whole = Interactions.from_csr(matrix, users=data.users, items=[*data.items.ids.tolist(), *NEW])
    with one_thread():
        before = trained("ease", whole)
        after = before.with_features(about())
    assert after.adapter.items == before.adapter.items
    assert before.score([[80, 90]], NEW).max() == 0
    assert after.score([[80, 90]], NEW)[0].argmax() == 1


def test_the_same_seed_chooses_the_same() -> None:
    with one_thread():
        again = default("ease").with_features(about())
        fitted = trained("ease", features=about())
    assert again.facts[FACTS] == extended("ease").facts[FACTS] == fitted.facts[FACTS]
    assert again.recommend([[0, 10]]) == fitted.recommend([[0, 10]])


def test_features_that_are_given_again_replace_the_first() -> None:
    with one_thread():
        fewer = ItemFeatures.of(about().items.take(range(25)), about().rows(np.arange(25)))
        again = extended("ease").with_features(fewer)
    assert again.adapter.items.ids.tolist()[24:] == NEW[:1]


def test_ids_may_be_text_or_integers_written_as_text() -> None:
    with one_thread():
        named = trained("ease", planted(names="x")).with_features(about("x"))
        ids = [str(id_) for id_ in about().items.ids.tolist()]
        typed = default("ease").with_features(ItemFeatures.of(ids, about().matrix))
    assert named.recommend([["xi0", "xi1"]], 20)[0].ids.count("x1000") == 1
    assert typed.adapter.items == extended("ease").adapter.items


@pytest.mark.parametrize(
    ("features", "options", "error", "says"),
    [
        (ItemFeatures.of([7, 8], np.eye(2)), {}, InputError, "0 of 2 items with features"),
        (ItemFeatures.of(["a", "b"], np.eye(2)), {}, InputError, "'a'.*int64"),
        (about(), {"boost": 0.0}, SettingError, "boost"),
    ],
)
def test_what_is_refused(features: ItemFeatures, options: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        default("ease").with_features(features, **options)


def test_nothing_new_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    same = default("ease").with_features(about(new=False))
    assert same.model is default("ease").model
    assert "no item is added" in caplog.text


def test_an_extended_recommender_is_not_updated() -> None:
    with pytest.raises(SettingError, match="without_features"):
        extended("ease").update(planted(5, seed=2))


# --- on disk ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("extended")
    for name in BUILDERS:
        extended(name).save(folder / name)
    return {name: folder / name for name in BUILDERS}


def test_every_answer_survives_a_round_trip(subtests: pytest.Subtests, bundles: dict[str, Path]) -> None:
    for model in BUILDERS:
        with subtests.test(model=model):
            before, after = extended(model), Recommender.load(bundles[model])
            histories = [[0, 10], [NEW[1]], [80, NEW[2]], []]
            assert after.recommend(histories, 9) == before.recommend(histories, 9)
            assert after.similar_items([NEW[0], 0], 5) == before.similar_items([NEW[0], 0], 5)
            assert dict(after.titles) == dict(before.titles)
            assert after.facts[FACTS] == before.facts[FACTS]
            assert after.without_features().recommend(histories[:1]) == default(model).recommend(histories[:1])


def test_tensors_that_do_not_fit_are_damage(subtests: pytest.Subtests, bundles: dict[str, Path]) -> None:
    for name, tensor in [
        ("left", torch.zeros(3, 4)),
        ("right", torch.zeros(2, 2)),
        ("place", torch.zeros(GROUPS * ITEMS + GROUPS, dtype=torch.int64)),
        ("near", torch.full((GROUPS, NEAR), 99)),
        ("near", torch.zeros(GROUPS, NEAR)),
        ("sizes", None),
    ]:
        with subtests.test(name=name, tensor=tensor):
            recommender = Recommender.load(bundles["ease"])
            tensors = dict(recommender.model.state_dict()) | {name: tensor}
            kept = {key: value for key, value in tensors.items() if value is not None}
            with pytest.raises(BundleError):
                rebuilt(ease, GROUPS * ITEMS + GROUPS, recommender.settings, kept, {"features.json": '{"known": 24}'})


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    data = planted()
    rows, columns = data.matrix.nonzero()
    events = {"user": data.users.take(rows.astype("int64")), "item": data.items.take(columns.astype("int64"))}
    pacsv.write_csv(pa.table(events), tmp_path / "events.csv")
    tags = [f"g{i // ITEMS}" for i in range(GROUPS * ITEMS)] + [f"g{i}" for i in range(GROUPS)]
    items = {"item": [10 * i for i in range(GROUPS * ITEMS)] + NEW, "genres": tags}
    pacsv.write_csv(pa.table({**items, "title": [f"T{i}" for i in items["item"]]}), tmp_path / "items.csv")
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with one_thread():
        code = main(list(args))
    return code, *capsys.readouterr()


def test_the_command_line_fits_with_features(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = ("fit", "interactions", "events.csv", "--out", "b", "--model", "ease", "--json")
    code, out, err = call(capsys, *fit, "--features", "items.csv", "--tags", "genres")
    assert code == 0, err
    document = json.loads(out)
    assert document["features"]["new_items"] == GROUPS
    assert document["items"] == GROUPS * ITEMS + GROUPS
    code, out, _ = call(capsys, "recommend", "b", "--history", "80,90,100", "-k", "12", "--json")
    found = {entry["id"]: entry["title"] for entry in json.loads(out)["items"]}
    assert found[NEW[1]] == f"T{NEW[1]}"
    code, out, _ = call(capsys, "similar", "b", "--item", str(NEW[0]), "--json")
    assert code == 0


def test_columns_without_a_table_are_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(
        capsys, "fit", "interactions", "events.csv", "--out", "b", "--model", "ease", "--tags", "genres"
    )
    assert code != 0
    assert "--features" in err


def test_the_model_is_named_as_before() -> None:
    assert isinstance(extended("ease").model, ColdStartRanker)
    assert extended("ease").builder == "ease"
