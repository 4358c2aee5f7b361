"""``isthmus update`` and ``--diversity`` as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from planted import changed, default, one_thread

from isthmus.cli import main
from isthmus.training.history import History
from isthmus_interactions import Recommender

Run = Callable[..., tuple[int, str, str]]
FAST = ("--precision", "fp32", "--device", "cpu")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> tuple[int, str, str]:
        with one_thread():
            code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle, and new data: 60 people of the first group with a new item, and ratings of 1 that do not count."""
    old = default("mult_vae")
    changed(old, facts={**old.facts, "keep": ">=4", "weights": "binary"}).save(tmp_path / "b")
    rows = [f"{5000 + p},{item},5" for p in range(60) for item in (0, 10, 20, 30, 999)]
    lines = ["userId,movieId,rating", *rows, "5000,40,1", "1000,999,4"]
    (tmp_path / "new.csv").write_text("\n".join(lines))
    return tmp_path


def document(result: tuple[int, str, str]) -> Any:
    code, answer, said = result
    assert code == 0, said
    return json.loads(answer)


@pytest.mark.slow
def test_a_bundle_is_replaced_by_one_that_knows_more(run: Run, folder: Path) -> None:
    told = document(run("update", "b", "new.csv", "--epochs", 30, "--json", *FAST))
    assert (told["path"], told["model"], told["how"]) == ("b", "mult-vae", "trained on")
    assert (told["users"], told["items"]) == (150, 25)
    assert told["new"] == {"users": 60, "items": 1, "interactions": 301}
    assert told["score"] >= told["score_before"]
    assert 1 <= told["epochs"] <= 30
    assert not told["interrupted"]
    assert 999 in [entry["id"] for entry in document(run("recommend", "b", "--history", "0,10", "--json"))["items"]]
    assert sorted(path.name for path in folder.iterdir()) == ["b", "new.csv"]
    info = document(run("info", "b", "--verify", "--json"))
    assert [entry["users"] for entry in info["facts"]["updates"]] == [60]


def test_or_saved_elsewhere_with_titles(run: Run, folder: Path) -> None:
    (folder / "titles.csv").write_text("id,title\n999,News\n")
    code, answer, _ = run("update", "b", "new.csv", "--out", "c", "--keep", "all", "--titles", "titles.csv",
                          "--validation", 0, "--seed", 3, *FAST)  # fmt: skip
    assert code == 0
    assert "trained on" in answer
    assert "new: 302 interactions" in answer
    assert len(Recommender.load(folder / "b").adapter.items) == 24
    after = Recommender.load(folder / "c")
    assert after.titles == {999: "News"}
    assert after.facts["seed"] == 3
    assert after.interactions[after.adapter.users.rows([5000])[0], 4] == 1, "the rating of 1 counts, too"


def test_mistakes(subtests: pytest.Subtests, run: Run, folder: Path) -> None:
    for args, said in [
        (("new.csv", "--metric", "beauty@5"), "beauty"),
        (("new.csv", "--validation", "0.7"), "validation=0.7"),
        (("new.csv", "--epochs", "-1"), "epochs"),
        (("nothing.csv",), "nothing.csv"),
        (("text.csv",), "ids of items such as 'a'"),
        (("text.csv", "--titles", "titles.csv"), "ids of items such as 'a'"),
        (("few.csv",), "no row of"),
        (("new.csv", "--out", "new.csv"), "new.csv"),
    ]:
        with subtests.test(args=args, said=said):
            (folder / "text.csv").write_text("user,item\n1,a\n")
            (folder / "titles.csv").write_text("id,title\na,A\n")
            (folder / "few.csv").write_text("user,item,rating\n1,0,2\n")
            before = (folder / "b" / "manifest.json").read_bytes()
            code, answer, told = run("update", "b", *args, *FAST)
            assert (code, answer) == (2, "")
            assert said in told.splitlines()[-1]
            assert (folder / "b" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("records", [[], [{"epoch": 1, "seconds": 0.5}]])
def test_ctrl_c(run: Run, folder: Path, records: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is saved before the first epoch is done; afterwards what there is."""
    update = Recommender.update

    def interrupted(self: Recommender, *args: Any, **options: Any) -> Recommender:
        made = update(self, *args, **options)
        return changed(made, facts={**made.facts, "training": History(records, interrupted=True).to_json()})

    monkeypatch.setattr(Recommender, "update", interrupted)
    code, answer, said = run("update", "b", "new.csv", "--out", "c", "--epochs", 1, "--json", *FAST)
    assert (folder / "c").exists() == bool(records)
    if records:
        assert (code, json.loads(answer)["interrupted"]) == (0, True)
        assert "interrupted after 1 epoch: the best model so far is saved" in said
    else:
        assert (code, answer, said.splitlines()[-1]) == (130, "", "isthmus: interrupted")


def test_diversity_of_answers(run: Run, folder: Path) -> None:
    plain, spread = (
        [
            entry["id"]
            for entry in document(run("recommend", "b", "--history", "0,10", "-k", 4, "--json", *more))["items"]
        ]
        for more in ((), ("--diversity", 0.9))
    )
    assert spread[0] == plain[0]
    assert {id_ // 80 for id_ in plain} == {0}
    assert {id_ // 80 for id_ in spread} == {0, 1, 2}
    run("recommend", "b", "--users", "all", "--out", "r.parquet", "-k", 3, "--diversity", 1.0)
    items = pq.read_table(folder / "r.parquet")["item"].to_pylist()
    assert {id_ // 80 for id_ in items[:3]} == {0, 1, 2}
    code, _, said = run("recommend", "b", "--history", "0", "--diversity", 2)
    assert code == 2
    assert "diversity=2" in said
