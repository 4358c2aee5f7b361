"""The demo on its real books, with shorter training than the real one, and once as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.training.history import History
from isthmus_interactions import Recommender
from isthmus_interactions.cli import demo

SHORT = {"rdlae": {"regularisation": 100.0}, "elsa": {"epochs": 2, "code": 16}}
RANKED = ["popularity", demo.ITEM_NEIGHBOURS, "rdlae", "elsa", demo.BLEND]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "PARTS", SHORT)
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_it_compares_recommends_and_saves(short: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", "b", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [line["model"] for line in told["scores"]] == RANKED
    ndcg = {line["model"]: line["ndcg@100"]["mean"] for line in told["scores"]}
    assert ndcg["popularity"] < ndcg[demo.ITEM_NEIGHBOURS] < ndcg["rdlae"]
    ahead = told["ahead_of_item_neighbours"]["mean"]
    assert ahead == pytest.approx(ndcg[demo.BLEND] - ndcg[demo.ITEM_NEIGHBOURS], abs=1e-6)
    assert sum(told["shares"].values()) == pytest.approx(1)
    assert [entry["title"].split(" (")[0].split(",")[0] for entry in told["reader"]] == list(demo.READER)
    read = {entry["id"] for entry in told["reader"]}
    assert not read & {entry["id"] for entry in told["recommended"]}
    assert {entry["because"]["id"] for entry in told["recommended"]} <= read
    assert all(entry["title"] for entry in told["recommended"] + told["similar"])
    assert any("Austen" in entry["title"] for entry in told["similar"])
    again = Recommender.load("b")
    answer = again.recommend([[entry["id"] for entry in told["reader"]]], 10)[0]
    assert list(answer.ids) == [entry["id"] for entry in told["recommended"]]


@pytest.mark.slow
def test_its_page_tells_what_to_try_next(short: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    page, said = capsys.readouterr()
    assert said.index(demo.EXPECTED) < said.index("epoch 1")
    assert "replaced" not in said
    for text in (
        "ndcg@100",
        "item neighbours",
        "The Hobbit",
        "because of",
        "Pride and Prejudice",
        "saved to books.bundle",
    ):
        assert text in page
    tries = [line.split("isthmus ", 1)[1] for line in page.splitlines() if line.startswith("  isthmus")]
    assert [line.split()[0] for line in tries] == ["recommend", "similar", "explain", "info", "fit"]


def test_what_is_in_its_way_stays(short: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "books.bundle").write_text("mine")
    assert main(["demo"]) == 2
    assert "is not an isthmus bundle" in capsys.readouterr().err
    assert (tmp_path / "books.bundle").read_text() == "mine"


@pytest.mark.slow
def test_an_interruption_keeps_the_best_model(
    short: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = History.from_json

    def stopped(document: dict) -> History:
        return read(document | {"interrupted": True})

    monkeypatch.setattr(History, "from_json", stopped)
    assert main(["demo"]) == 130
    page, said = capsys.readouterr()
    assert page == ""
    assert "cut short" in said
    assert said.rstrip().endswith("isthmus demo")
    assert Recommender.load("books.bundle").titles


@pytest.mark.slow
def test_what_the_demo_promises_it_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    ndcg = {line["model"]: line["ndcg@100"]["mean"] for line in told["scores"]}
    neighbours = ndcg[demo.ITEM_NEIGHBOURS]
    assert all(ndcg[name] > neighbours for name in (*demo.PARTS, demo.BLEND))
    assert ndcg[demo.BLEND] > 0.44
    assert ndcg[demo.BLEND] > max(ndcg[name] for name in demo.PARTS) - 0.01
    ahead = told["ahead_of_item_neighbours"]
    assert ahead["mean"] > 3 * ahead["standard_error"] > 0
