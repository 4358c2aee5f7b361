"""``isthmus tune`` as somebody types it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import one_thread, planted

from isthmus.cli import main
from isthmus_interactions import Recommender
from isthmus_interactions.cli import tune_command
from isthmus_interactions.tuning.tune import tune as search

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _single() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    monkeypatch.chdir(tmp_path)
    users, items = planted().matrix.nonzero()
    (tmp_path / "events.csv").write_text(
        "user,item\n" + "".join(f"{u},{i}\n" for u, i in zip(users, items, strict=True))
    )

    def call(*args: str) -> tuple[int, str, str]:
        return main(["tune", *args]), *capsys.readouterr()

    return call


EASE = ("interactions", "events.csv", "--model", "ease", "--metric", "ndcg@5")


def test_a_table_and_the_next_command(typed: Typed) -> None:
    code, answer, said = typed(*EASE, "--trials", "3")
    assert code == 0
    assert "regularisation" in answer.splitlines()[0]
    assert len(answer.split("\n\n")[0].splitlines()) == 4
    assert "isthmus fit interactions events.csv --out my.bundle --model ease --setting regularisation=" in answer
    assert "trial 1/3: ndcg@5" in said
    assert "best 0." in said
    assert "about 0.0 s left" in said.splitlines()[-1]


def test_the_command_that_is_shown_reaches_the_score(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    answer = typed(*EASE, "--trials", "4")[1]
    line = next(line for line in answer.splitlines() if line.startswith("isthmus fit"))
    assert main([*line.split()[1:], "--metric", "ndcg@5", "--json"]) == 0
    assert f"{json.loads(capsys.readouterr().out)['score']:.4f}" in answer.split("best of")[1]


def test_the_best_is_saved_and_the_study_goes_on(typed: Typed) -> None:
    code, answer, _ = typed(*EASE, "--trials", "2", "--study", "study", "--json")
    first = json.loads(answer)
    assert (code, first["path"], first["study"]) == (0, None, "study")
    code, answer, _ = typed(*EASE, "--trials", "4", "--study", "study", "--out", "best", "--time-limit", "5m", "--json")
    document = json.loads(answer)
    assert code == 0
    assert document["trials"][:2] == first["trials"]
    assert [trial["number"] for trial in document["trials"]] == [1, 2, 3, 4]
    saved = Recommender.load("best")
    assert saved.settings == {**saved.settings, **document["best"]["settings"]}
    assert saved.history.best_score == pytest.approx(document["best"]["score"])


def test_ctrl_c_shows_what_is_done_and_saves_no_bundle(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*args: Any, on_trial: Any, **options: Any) -> Any:
        def after(tuned: Any) -> None:
            on_trial(tuned)
            if len(tuned.trials) == 2:
                raise KeyboardInterrupt

        return search(*args, on_trial=after, **options)

    monkeypatch.setattr(tune_command, "search", pressed)
    code, answer, _ = typed(*EASE, "--study", "study")
    assert code == 0
    assert "interrupted: the same command continues" in answer
    code, answer, said = typed(*EASE, "--study", "other", "--out", "best", "--json")
    assert code == 130
    assert json.loads(answer)["interrupted"] is True
    assert said.splitlines()[-1] == "isthmus: interrupted"
    assert not Path("best").exists()


def test_mistakes_are_one_line(subtests: pytest.Subtests, typed: Typed) -> None:
    for args, said in [
        ((), "tune needs the name of an adapter first"),
        ((*EASE, "--time-limit", "soon"), "a time of 'soon'"),
        ((*EASE, "--setting", "regularisation=5", "--setting", "length_power=0"), "all searchable settings of ease"),
        (("interactions", "events.csv"), "--model"),
        ((*EASE, "--out", "events.csv"), "events.csv"),
    ]:
        with subtests.test(args=args, said=said):
            code, answer, error = typed(*args)
            assert (code, answer) == (2, "")
            assert said in error.splitlines()[-1]


def test_help_keeps_its_brackets(typed: Typed) -> None:
    code, answer, _ = typed("--help")
    assert code == 0
    assert "[no limit]" in " ".join(answer.split())
