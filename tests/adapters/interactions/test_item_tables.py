"""Tables of items beside interactions: their columns are found or named, and they may be written otherwise. Files of
two columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main
from isthmus.errors import ColumnError
from isthmus_interactions import Interactions

PAIRS = [(user, 100 + (user * 7 + step * 3) % 12) for user in range(30) for step in range(4)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("pairs.data").write_text("".join(f"{user}\t{item}\n" for user, item in PAIRS))
    Path("titles.txt").write_text("".join(f"{100 + item}|x{item}|Café {item}\n" for item in range(12)), "latin-1")
    Path("other.csv").write_text("key;note;label\n" + "".join(f"{100 + i};9;Film {i}\n" for i in range(12)))
    Path("items.csv").write_text(
        "movieId;genres\n" + "".join(f"{100 + i};{'a|b' if i % 2 else 'c'}\n" for i in range(15))
    )
    return tmp_path


def fit(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = main(["fit", "interactions", "pairs.data", "--out", "b", "--model", "ease", *more])
    return code, capsys.readouterr().err


def title_of(capsys: pytest.CaptureFixture[str], item: int) -> Any:
    main(["items", "b", str(item), "--json"])
    return json.loads(capsys.readouterr().out)["items"][0]["title"]


@pytest.mark.parametrize(
    ("table", "title"),
    [
        (["titles.txt"], "x3"),
        (["titles.txt", "--title-column", "3"], "Café 3"),
        (["titles.txt", "--title-id", "1", "--title-column", "2"], "x3"),
        (["other.csv", "--title-id", "key", "--title-column", "label"], "Film 3"),
        (["other.csv", "--no-header", "--delimiter", "tab"], "Film 3"),
    ],
    ids=["found", "column", "both columns", "names", "header"],
)
def test_titles(home: Path, capsys: pytest.CaptureFixture[str], table: list[str], title: str) -> None:
    code, said = fit(capsys, "--titles", *table)
    assert code == 0, said
    assert title_of(capsys, 103) == title


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--titles", "other.csv", "--title-id", "nothing"], "no column 'nothing'"),
        (["--titles", "other.csv", "--title-id", "key", "--title-column", "key"], "one column for two things"),
        (["--title-id", "key"], "--titles FILE"),
        (["--titles", "items.csv", "--title-id", "genres"], "--title-column"),
    ],
    ids=str,
)
def test_titles_that_are_refused(home: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    code, message = fit(capsys, *options)
    assert code == 2
    assert said in message


def test_features_are_found_beside_interactions_of_another_form(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = fit(capsys, "--features", "items.csv", "--tags", "genres", "--no-header", "--delimiter", "tab")
    assert code == 0, said


def test_two_columns_without_names_are_users_and_items(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    read = Interactions.read("pairs.data")
    assert (len(read.users), len(read.items)) == (30, 12)
    assert "user='1', item='2'" in caplog.text
    Path("words.csv").write_text("".join(f"u{user},i{item}\n" for user, item in PAIRS))
    assert Interactions.read("words.csv").nnz == read.nnz


@pytest.mark.parametrize(
    "rows",
    [
        [(row, row * 3) for row in range(40)],
        [(row % 7, row % 5) for row in range(40)],
        [(row % 7, 1_700_000_000 + row) for row in range(40)],
        [(row % 7, row + 0.5) for row in range(40)],
    ],
    ids=["a key", "ratings", "times", "fractions"],
)
def test_what_speaks_against_it_is_asked(tmp_path: Path, rows: list[tuple[int, float]]) -> None:
    (tmp_path / "t.csv").write_text("".join(f"{one},{other}\n" for one, other in rows))
    with pytest.raises(ColumnError, match="user"):
        Interactions.read(tmp_path / "t.csv")
