"""Tables are never wider than what they are printed on, and lose nothing."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from isthmus.cli import output


def printed(table: output.FittedTable, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, markup=False, emoji=False, highlight=False).print(table)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_many_columns_go_below_one_another(width: int) -> None:
    columns = [f"column{place}" for place in range(20)]
    lines = printed(output.table(columns, [[1000 + place for place in range(20)]]), width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert [words.count(column) for column in columns[1:]] == [1] * 19
    assert [words.count(str(1000 + place)) for place in range(1, 20)] == [1] * 19
    headings = [line for line in lines if "column" in line]
    assert all(line.startswith("column0 ") for line in headings)
    assert (len(headings) == 1) == (width == 200)


@pytest.mark.parametrize("width", [30, 60])
def test_texts_are_wrapped_and_numbers_are_not(width: int) -> None:
    path = "/data/" + "x" * 70
    lines = printed(output.table(("title", "score"), [(path, 0.123456), ("a long title " * 6, 12345678)]), width)
    assert max(map(len, lines)) <= width
    assert any(line.endswith("  0.1235") for line in lines)
    assert any(line.endswith("12345678") for line in lines)
    assert "".join(line.split()[0] for line in lines if line.split()[0].startswith(("/data", "x"))) == path


def test_a_table_without_rows_or_columns() -> None:
    assert printed(output.table(("title", "score"), []), 80)[0].split() == ["title", "score"]
    assert "".join(printed(output.table((), []), 80)).strip() == ""


def test_a_pipe_gets_rows_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({}, False, lambda: output.table(("title", "n"), [("word " * 100, 7)]))
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("width", [60, 80, 120])
def test_wide_letters_count_for_what_they_take(width: int) -> None:
    titles = ["千と千尋の神隠し " * 8, "🎬 film 🎞️ " * 12, "ordinary title " * 9, "e\u0301te\u0301 " * 30]
    rows = [(place, title, place + 0.5, "flagged") for place, title in enumerate(titles)]
    assert max(map(cell_len, printed(output.table(("id", "title", "score", ""), rows), width))) <= width


def test_numbers_have_the_digits_that_they_need() -> None:
    lines = printed(output.table(("a", "b", "c"), [(0.123456, 46.8795, 0.00001234), (2.0, 1234.5, 0.5)]), 80)
    assert [line.split() for line in lines[1:]] == [["0.1235", "47", "1.2e-05"], ["2.0000", "1234", "0.5000"]]
