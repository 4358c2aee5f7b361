"""The demo on its real books, with shorter training than the real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus_interactions import Recommender
from isthmus_interactions.cli import demo

SHORT = {"ease": {"regularisation": 150.0}, "mult-dae": {"epochs": 2, "code": 16}}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "MODELS", SHORT)
    monkeypatch.chdir(tmp_path)


def test_it_compares_recommends_and_saves(short: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", "b", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [line["model"] for line in told["scores"]] == ["popularity", "item nearest neighbours", "ease", "mult-dae"]
    ndcg = {line["model"]: line["ndcg@100"]["mean"] for line in told["scores"]}
    assert ndcg["popularity"] < ndcg["item nearest neighbours"] < ndcg["ease"]
    assert told["chosen"] == "ease"
    assert [entry["title"].split(" (")[0].split(",")[0] for entry in told["reader"]] == list(demo.READER)
    assert not {entry["id"] for entry in told["reader"]} & {entry["id"] for entry in told["recommended"]}
    assert all(entry["title"] for entry in told["recommended"] + told["similar"])
    assert any("Austen" in entry["title"] for entry in told["similar"])
    again = Recommender.load("b")
    (answer,) = again.recommend([[entry["id"] for entry in told["reader"]]], 10)
    assert answer.ids == [entry["id"] for entry in told["recommended"]]


def test_its_page_tells_what_to_try_next(short: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    page, said = capsys.readouterr()
    assert "goodbooks-10k" in said
    for text in ("ndcg@100", "item nearest neighbours", "The Hobbit", "Pride and Prejudice", "saved to books.bundle"):
        assert text in page
    tries = [line.split("isthmus ", 1)[1] for line in page.splitlines() if line.startswith("  isthmus")]
    assert [line.split()[0] for line in tries] == ["recommend", "similar", "explain", "info", "fit"]


def test_what_is_in_its_way_stays(short: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "books.bundle").write_text("mine")
    assert main(["demo"]) == 2
    assert "is not an isthmus bundle" in capsys.readouterr().err
    assert (tmp_path / "books.bundle").read_text() == "mine"
