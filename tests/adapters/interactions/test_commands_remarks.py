"""What the command line says beside its answers, and what it suggests next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from planted import one_thread, planted

from isthmus.cli import main
from isthmus.cli.options import parsed_settings
from isthmus_interactions import Recommender
from isthmus_interactions.cli import documents, fit_command, tune_command

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    data = planted()
    pairs = zip(*data.matrix.nonzero(), strict=True)
    (tmp_path / "events.csv").write_text("user,item\n" + "".join(f"{u},{10 * i}\n" for u, i in pairs))

    def call(*args: object) -> tuple[int, str, str]:
        with one_thread():
            code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


EASE = ("fit", "interactions", "events.csv", "--out", "b", "--model", "ease")


def test_unknown_ids_of_allow_are_named(run: Run) -> None:
    assert run(*EASE)[0] == 0
    code, answer, said = run("recommend", "b", "--history", "0", "--allow", "10,20,7,8", "--json")
    assert code == 0
    assert {entry["id"] for entry in json.loads(answer)["items"]} == {10, 20}
    assert "2 unknown ids of --allow left out: 7, 8" in said


def test_a_file_with_nothing_new_is_refused(run: Run) -> None:
    assert run(*EASE)[0] == 0
    code, _, said = run("evaluate", "b", "events.csv", "--split", "known")
    assert code == 2
    assert "the test data contain no new interactions of the users of the training data" in said


@pytest.mark.slow
def test_the_seconds_of_auto_are_those_of_the_whole_search(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, answer, said = run("fit", "interactions", "events.csv", "--out", "a", "--time-limit", "4s", "--json")
    assert code == 0, said
    told = json.loads(answer)
    assert told["seconds"] >= sum(line["seconds"] for line in told["tried"]) - 0.1


def test_features_of_unknown_items_are_refused_before_the_training(run: Run) -> None:
    Path("features.csv").write_text("item,tags\nx1,a\nx2,b\n")
    code, _, said = run(*EASE, "--features", "features.csv", "--tags", "tags")
    assert code == 2
    assert "isthmus: features of the item 'x1'" in said
    assert "epoch" not in said


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("", '--history "'),
        ("a, ", "--history @FILE"),
    ],
)
def test_what_is_suggested_can_be_typed(names: str, wanted: str) -> None:
    with one_thread():
        recommender = Recommender.fit(planted(names=names), "ease", validation=0.0)
    assert wanted in documents.example(recommender, Path("b"))


def test_settings_are_shown_as_they_are_read() -> None:
    settings = {"patience": None, "decay": "cosine", "flag": True, "rate": 0.1}
    pairs = [f"{key}={tune_command._typed(value)}" for key, value in settings.items()]
    assert parsed_settings(pairs) == settings


def test_settings_that_depend_on_the_data_are_not_listed() -> None:
    line = {"settings": {"batch_size": None, "dropout": 0.5, "feature_weight": 0.0, "epochs": 3}}
    assert fit_command._settings(line) == "dropout 0.5"
