"""The verbs over vectors, as a person types them, and what they say of mistakes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix, random_array, save_npz

from isthmus.cli import main

FAST = ["--setting", "hidden=8", "--epochs", "3", "--code", "2", "--device", "cpu"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(80, 3))
    pd.DataFrame(rows, columns=["a", "b", "c"]).to_csv("t.csv", index=False)


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]):
    def ask(*args: str) -> dict:
        assert main([*args, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return ask


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]):
    def ask(*args: str) -> str:
        assert main(list(args)) == 2
        return capsys.readouterr().err

    return ask


def test_the_whole_way(asked) -> None:
    told = asked("fit", "vectors", "t.csv", "--out", "b", *FAST)
    assert (told["rows"], told["width"], told["code"], told["model"]) == (80, 3, 2, "vanilla")
    assert asked("encode", "b", "t.csv", "--out", "codes.npy") == {"rows": 80, "width": 2, "path": "codes.npy"}
    codes = np.load("codes.npy")
    assert asked("encode", "b", "t.csv")["codes"] == codes.tolist()
    asked("reconstruct", "b", "t.csv", "--out", "back.csv")
    assert pacsv.read_csv("back.csv").column_names == ["a", "b", "c"]
    asked("sample", "b", "-n", "4", "--seed", "1", "--out", "new.parquet")
    assert pq.read_table("new.parquet").to_pandas().shape == (4, 3)
    found = asked("search", "b", "t.csv", "-k", "2")["found"]
    assert [some[0]["row"] for some in found] == list(range(80))
    assert len(asked("search", "b", "t.csv", "-k", "9", "--in", "back.csv", "--metric", "cosine")["found"][0]) == 9
    told = asked("anomalies", "b", "t.csv", "-k", "3")
    assert len(told["most_anomalous"]) == 3
    assert sum(one["anomaly"] for one in asked("anomalies", "b", "t.csv", "--all")["all"]) == told["anomalies"]
    assert asked("evaluate", "b", "t.csv")["rows"] == 80


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (
        ["fit", "vectors", "t.csv", "--out", "b", *FAST],
        ["encode", "b", "t.csv", "--out", "codes.csv"],
        ["reconstruct", "b", "t.csv", "--out", "back.npy"],
        ["sample", "b", "-n", "2"],
        ["search", "b", "t.csv"],
        ["anomalies", "b", "t.csv"],
        ["evaluate", "b", "t.csv"],
    ):
        assert main(args) == 0
        assert capsys.readouterr().out.strip()


def test_sparse_files(asked) -> None:
    save_npz("m.npz", csr_matrix(random_array((60, 30), density=0.2, format="csr", rng=0)))
    assert asked("fit", "vectors", "m.npz", "--out", "b", *FAST)["sparse"] is True
    assert asked("anomalies", "b", "m.npz")["rows"] == 60


def test_columns(asked, refused) -> None:
    pd.read_csv("t.csv").assign(city="x").to_csv("city.csv", index=False)
    assert "'city'" in refused("fit", "vectors", "city.csv", "--out", "b", *FAST)
    assert asked("fit", "vectors", "city.csv", "--drop", "city", "--out", "b", *FAST)["width"] == 3
    pd.read_csv("city.csv")[["c", "city", "a", "b"]].to_csv("other.csv", index=False)
    assert asked("encode", "b", "other.csv") == asked("encode", "b", "t.csv")
    np.save("wide.npy", np.ones((40, 4)))
    assert asked("fit", "vectors", "wide.npy", "--drop", "0", "--out", "b", *FAST)["width"] == 3
    assert "without names of columns" in refused("encode", "b", "city.csv", "--json")
    assert len(asked("encode", "b", "city.csv", "--drop", "city")["codes"]) == 80
    assert asked("fit", "vectors", "t.csv", "--columns", "c", "--columns", "a", "--out", "b", *FAST)["width"] == 2
    assert "no column 'z'" in refused("fit", "vectors", "t.csv", "--columns", "z", "--out", "b")


def test_a_detector_names_columns_and_has_no_codes(asked, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 1)) * np.ones(3)
    pd.DataFrame(rows, columns=["a", "b", "c"]).to_csv("line.csv", index=False)
    quick = ["--setting", "members=4", "--epochs", "60", "--device", "cpu"]
    asked("fit", "vectors", "line.csv", "--model", "auto", "--out", "d", *quick)
    Path("odd.csv").write_text("id,c,b,a\nx,0.5,-0.9,0.5\n")
    (found,) = asked("anomalies", "d", "odd.csv")["most_anomalous"]
    assert found["columns"][0] == "b"
    assert main(["encode", "d", "odd.csv", "--json"]) == 2
    assert "isthmus anomalies d FILE" in capsys.readouterr().err


def test_mistakes_cost_no_training(refused) -> None:
    assert "does not exist" in refused("fit", "vectors", "gone.csv", "--out", "b")
    assert "exists and is not an isthmus bundle" in refused("fit", "vectors", "gone.csv", "--out", "t.csv")
    assert "no model 'other'" in refused("fit", "vectors", "t.csv", "--out", "b", "--model", "other")
    assert not Path("b").exists()


def test_places_for_numbers(asked, refused) -> None:
    asked("fit", "vectors", "t.csv", "--out", "b", *FAST)
    assert "no file" in refused("encode", "b", "t.csv")
    assert "exists" in refused("encode", "b", "t.csv", "--out", "t.csv")
    assert "ending '.txt'" in refused("encode", "b", "t.csv", "--out", "c.txt")
    assert "no directory" in refused("encode", "b", "t.csv", "--out", "away/c.npy")
    Path("empty.csv").touch()
    assert "is empty" in refused("anomalies", "b", "empty.csv")
    Path("short.csv").write_text("a,b\n1,2\n")
    assert "no column 'c'" in refused("anomalies", "b", "short.csv")
    Path("hole.csv").write_text("a,b,c\n1,,2\n")
    assert "line 2, column 'b' (2) of hole.csv holds no number" in refused("anomalies", "b", "hole.csv")


def test_ctrl_c_before_the_first_epoch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from isthmus.training.history import History

    def interrupted(*args: object) -> History:
        signal.raise_signal(signal.SIGINT)
        return History(interrupted=True)

    monkeypatch.setattr("isthmus.models.recipes.recipe.train", interrupted)
    assert main(["fit", "vectors", "t.csv", "--out", "b", *FAST]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not Path("b").exists()
