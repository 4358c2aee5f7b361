"""``learn`` and ``forget``: the recommender that a fit on the changed data gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import GROUPS, ITEMS, RUN, changed, default, one_thread, planted, trained
from scipy.sparse import csr_array

from isthmus.cli import main
from isthmus.core.linear.corrected import CorrectedLinear
from isthmus.errors import BundleError, InputError, SettingError, UnknownIdError
from isthmus_interactions import Interactions, ItemFeatures, Recommender
from isthmus_interactions.exact.data import interactions_of
from isthmus_interactions.exact.state import solver_of

CLOSED = ("ease", "edlae", "rdlae")
HISTORIES: list[list[int]] = [[0, 10], [80, 90, 230], [40]]

closed = pytest.mark.parametrize("model", CLOSED)


def events(*pairs: tuple[int, int]) -> tuple[list[int], list[int]]:
    users, items = zip(*pairs, strict=True)
    return list(users), list(items)


def assert_as_fitted(found: Recommender) -> None:
    """Its inverse and its scores are those of a fit on its own data."""
    data, inverse = interactions_of(found.fitted), found.fitted.inverse
    assert inverse is not None
    solver = solver_of(found.fitted, len(data.items))
    assert solver is not None
    np.testing.assert_allclose(inverse.folded().base, solver(data.matrix).base, rtol=0, atol=1e-8)
    again, items = trained(found.builder, data), data.items.ids.tolist()
    np.testing.assert_allclose(found.score(HISTORIES, items), again.score(HISTORIES, items), rtol=0, atol=1e-5)
    assert found.facts["updates"][-1]["largest_difference"] < 1e-8
    sizes = {name: found.facts[name] for name in ("users", "items", "interactions")}
    assert sizes == {"users": len(data.users), "items": len(data.items), "interactions": data.nnz}


@closed
def test_known_and_new_users_and_new_items_are_learned(model: str) -> None:
    first = default(model).learn(events((1000, 230), (7, 0), (7, 10)))
    assert first.facts["updates"][0]["how"] == "learned exactly (solved anew)"
    assert isinstance(first.learn(events((7, 80))).model, CorrectedLinear)
    second = first.learn(events((8, 0), (7, 80), (1001, 20))).learn(events((8, 999), (1002, 999)), titles={999: "New"})
    assert [report["how"] for report in second.facts["updates"][1:]] == ["learned exactly (low rank)"] * 2
    assert second.adapter.items.ids[-1] == 999
    assert second.adapter.users.ids[90:].tolist() == [7, 8]
    assert second.titles == {999: "New"}
    assert_as_fitted(second)
    merged = default(model).update(second_events(), run=RUN, validation=0.0)
    assert second.adapter.users == merged.adapter.users
    np.testing.assert_array_equal(second.interactions.toarray(), merged.interactions.toarray())


def second_events() -> tuple[list[int], list[int]]:
    """All that was learned, in the order in which it was."""
    return events((1000, 230), (7, 0), (7, 10), (8, 0), (7, 80), (1001, 20), (8, 999), (1002, 999))


@closed
def test_users_and_items_are_forgotten(model: str) -> None:
    old = default(model).learn(events((7, 0), (7, 10)))
    rest = old.forget(users=[1000, 7]).forget(items=[0, 230], users=[1089])
    assert not {1000, 7, 1089} & set(rest.adapter.users.ids.tolist())
    assert not {0, 230} & set(rest.adapter.items.ids.tolist())
    report = rest.facts["updates"][-1]
    assert (report["how"], report["users"], report["items"]) == ("forgotten exactly (low rank)", -1, -2)
    assert_as_fitted(rest)
    assert_as_fitted(default(model).forget(items=[0]))


def test_what_was_learned_and_forgotten_again_leaves_nothing() -> None:
    old = default("edlae").learn(events((1000, 0)))
    again = old.learn(events((7, 0), (7, 80), (8, 230))).forget(users=[7, 8])
    assert again.adapter.users == old.adapter.users
    np.testing.assert_array_equal(again.interactions.toarray(), old.interactions.toarray())
    items = old.adapter.items.ids.tolist()
    np.testing.assert_allclose(again.score(HISTORIES, items), old.score(HISTORIES, items), rtol=0, atol=1e-5)


def test_nothing_new_changes_nothing_and_the_old_one_never_changes() -> None:
    old = default("ease")
    before, facts = old.model.weights.clone(), dict(old.facts)
    same = old.learn(events((1000, int(old.adapter.items.ids[old.interactions[[0]].indices[0]]))))
    assert same.facts["updates"][-1]["interactions"] == 0
    assert same.learn(events((1000, 0))).forget(users=[1001])
    assert torch.equal(old.model.weights, before)
    assert old.facts == facts
    assert old.fitted.inverse is None


@pytest.mark.parametrize("weights", ["binary", "value", "log"])
def test_repeated_events_add_up_as_their_weights_say(weights: Any) -> None:
    data = Interactions.read(
        (*events((1, 0), (1, 1), (2, 1), (2, 2), (3, 0)), [1.0, 2.0, 3.0, 1.0, 2.0]), weights=weights
    )
    old = trained("ease", data)
    found = old.learn((*events((1, 1), (3, 2)), [4.0, 5.0]))
    amounts = {"binary": [1, 1], "value": [6, 5], "log": [np.log1p(6), np.log1p(5)]}[weights]
    rows = found.adapter.users.rows([1, 3]), found.adapter.items.rows([1, 2])
    np.testing.assert_allclose(found.interactions.toarray()[rows], amounts, rtol=1e-6)
    data = interactions_of(found.fitted)
    np.testing.assert_allclose(found.score([[0]], [0, 1, 2]), trained("ease", data).score([[0]], [0, 1, 2]), atol=1e-5)


def test_events_stay_in_order() -> None:
    timed = (*events((1, 0), (1, 1), (2, 1), (3, 2), (3, 0)), [1.0] * 5, [10, 30, 20, 10, 20])
    old = trained("ease", Interactions.read(timed))
    found = old.learn((*events((1, 2), (4, 1), (3, 1)), [1.0] * 3, [20, 5, 30])).forget(users=[2])
    assert found.ordered_histories is not None
    users = found.adapter.users.take(range(3))
    assert {user: found.ordered_histories.items_of(row).tolist() for row, user in enumerate(users)} == {
        1: [0, 2, 1],
        3: [2, 0, 1],
        4: [1],
    }
    untimed = found.learn(events((4, 0)))
    assert untimed.ordered_histories is not None
    assert untimed.ordered_histories.times is None
    without = found.forget(items=[1])
    assert without.ordered_histories is not None
    assert without.ordered_histories.items_of(0).tolist() == [0, 1]


def test_a_bundle_keeps_the_inverse_if_it_is_wanted(tmp_path: Path) -> None:
    found = default("rdlae").learn(events((7, 0), (7, 10))).learn(events((8, 10)))
    found.save(tmp_path / "with")
    found.save(tmp_path / "without", inverse=False)
    items = found.adapter.items.ids.tolist()
    for name, how in (("with", "low rank"), ("without", "solved anew")):
        loaded = Recommender.load(tmp_path / name)
        np.testing.assert_allclose(loaded.score(HISTORIES, items), found.score(HISTORIES, items), atol=1e-6)
        after = loaded.forget(users=[1003])
        assert after.facts["updates"][-1]["how"] == f"forgotten exactly ({how})"
        assert_as_fitted(after)
    sizes = [(tmp_path / name / "weights.safetensors").stat().st_size for name in ("with", "without")]
    assert sizes[0] - sizes[1] >= 4 * len(items) ** 2


def test_an_inverse_that_does_not_fit_the_model_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = default("ease").learn(events((7, 0)))
    inverse = found.fitted.inverse
    assert inverse is not None
    narrow = changed(found, inverse=inverse.without(np.array([0])))
    negative = changed(found, inverse=type(inverse).settled(-inverse.base, inverse.counts, 5.0, 0.0, 0.0))
    for number, wrong in enumerate((narrow, negative)):
        wrong.save(tmp_path / str(number))
        with pytest.raises(BundleError):
            Recommender.load(tmp_path / str(number))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["elsa", "sparse_linear", "item_knn"])
def test_other_models_are_fitted_anew_without_what_is_forgotten(model: str) -> None:
    with one_thread():
        rest = default(model).forget(users=[1000, 1001], items=[0], run=RUN, validation=0.0)
    assert rest.facts["updates"][-1]["how"] == "fitted anew"
    assert (len(rest.adapter.users), len(rest.adapter.items)) == (88, GROUPS * ITEMS - 1)
    data = interactions_of(rest.fitted)
    assert data.nnz == rest.facts["interactions"]
    items = data.items.ids.tolist()
    again = trained(model, data)
    np.testing.assert_allclose(rest.score([[10, 20]], items), again.score([[10, 20]], items), rtol=1e-4, atol=1e-4)


def test_mistakes(subtests: pytest.Subtests) -> None:
    names = trained("ease", planted(names="x"))
    wide = default("ease").with_features(ItemFeatures.of([*range(0, 240, 10), 7000], csr_array(np.ones((25, 1)))))
    known = default("ease")
    informed = changed(known, settings={**known.settings, "feature_weight": 2.0})
    everybody = known.adapter.users.ids.tolist()
    for call, error, said in [
        (lambda: default("mult_vae").learn(events((7, 0))), SettingError, "update"),
        (lambda: trained("ease", length_power=0.5).learn(events((7, 0))), SettingError, "length_power=0"),
        (lambda: default("ease").learn(events((7, 0)), check=-1), SettingError, "check"),
        (lambda: wide.learn(events((7, 0))), SettingError, "features"),
        (lambda: wide.forget(users=[1000]), SettingError, "features"),
        (lambda: informed.learn(events((7, 0))), SettingError, "exact learning of .* fit on all data with features="),
        (lambda: informed.forget(users=[1000]), SettingError, "forgetting of .* fit on all data with features="),
        (lambda: default("ease").learn((["a"], ["b"])), InputError, "'a'"),
        (lambda: default("ease").forget(), InputError, "users=\\[...\\]"),
        (lambda: default("ease").forget(users=[]), InputError, "users=\\[...\\]"),
        (lambda: default("ease").forget(users=[99]), UnknownIdError, "unknown id 99"),
        (lambda: names.forget(users=["xu900"]), UnknownIdError, "did you mean 'xu"),
        (lambda: names.forget(items=["xi99"]), UnknownIdError, "did you mean 'xi9'"),
        (lambda: default("ease").forget(users=everybody), InputError, "no interaction is left"),
        (lambda: default("mult_vae").forget(items=list(range(0, 240, 10))), InputError, "no interaction is left"),
    ]:
        with subtests.test(said=said), pytest.raises(error, match=said):
            call()


def test_an_inverse_that_has_drifted_is_solved_anew(caplog: pytest.LogCaptureFixture) -> None:
    found = default("ease").learn(events((7, 0)))
    inverse = found.fitted.inverse
    assert inverse is not None
    noise = 1e-5 * np.random.default_rng(0).normal(size=inverse.base.shape)
    drifted = type(inverse).settled(inverse.base + noise + noise.T, inverse.counts, 5.0, 0.0, 0.0)
    after = changed(found, inverse=drifted).learn(events((8, 10)))
    assert "solved anew" in caplog.text
    assert_as_fitted(after)


def document(capsys: pytest.CaptureFixture[str], *args: object) -> Any:
    assert main([str(arg) for arg in (*args, "--json")]) == 0
    return json.loads(capsys.readouterr().out)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    default("ease").save("b")
    Path("new.csv").write_text("user,item\n1000,230\n7,0\n7,999\n")
    Path("titles.csv").write_text("id,title\n999,News\n")
    told = document(capsys, "learn", "b", "new.csv", "--titles", "titles.csv", "--check", 2)
    assert told["new"] == {"users": 1, "items": 1, "interactions": 3}
    assert told["columns_checked"] == 2
    told = document(capsys, "forget", "b", "--users", "7,1000", "--out", "c", "--no-inverse")
    assert (told["how"], told["change"]["users"]) == ("forgotten exactly (low rank)", -2)
    after = Recommender.load("c")
    assert after.fitted.inverse is None
    assert after.titles == {999: "News"}
    assert_as_fitted(after.learn(events((1, 0))))
    assert main(["learn", "b", "new.csv", "--out", "d"]) == 0
    assert "differ from exact ones by" in capsys.readouterr().out
    for args, said in [
        (("forget", "b"), "--users or --items"),
        (("forget", "b", "--users", "12345"), "unknown id 12345"),
        (("forget", "b", "--items", "x"), "is not a number"),
        (("forget", "b", "--users", "@nowhere.txt"), "nowhere.txt"),
        (("learn", "b", "nothing.csv"), "nothing.csv"),
        (("learn", "b", "new.csv", "--item", "film"), "film"),
    ]:
        before = (tmp_path / "b" / "manifest.json").read_bytes()
        assert main(list(args)) == 2
        assert said in capsys.readouterr().err
        assert (tmp_path / "b" / "manifest.json").read_bytes() == before
