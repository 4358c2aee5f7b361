"""The decimal sign is that of the whole file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from isthmus.errors import ValueRangeError
from isthmus.files import open_table

LATE = 4000
"""Rows before the first number with a decimal sign: more than the first rows that are looked at."""


def numbers(path: Path, cells: list[str], delimiter: str = ";") -> list[float | None]:
    path.write_text(f"name{delimiter}x\n" + "".join(f"a{delimiter}{cell}\n" for cell in cells))
    found: list[float | None] = open_table(path).read(["x"], {"x": pa.float64()})["x"].to_pylist()
    return found


@pytest.mark.parametrize("delimiter", [";", "\t", "|", "::"])
@pytest.mark.parametrize("late", ["2,5", "-0,25"])
def test_a_late_comma_is_a_decimal_comma(tmp_path: Path, delimiter: str, late: str) -> None:
    assert numbers(tmp_path / "t.csv", ["7"] * LATE + [late], delimiter)[-1] == float(late.replace(",", "."))


@pytest.mark.parametrize(
    ("cells", "line", "cell"),
    [
        (["1,5"] + ["7"] * LATE + ["2.5"], LATE + 3, "2.5"),
        (["1.5"] + ["7"] * LATE + ["2,5"], LATE + 3, "2,5"),
        (["7"] * LATE + ["2,5", "2.5"], LATE + 2, "2,5"),
        (["1,234", "56", "7,891"], 2, "1,234"),
        (["1,234,567", "2,345"], 2, "1,234,567"),
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, cells: list[str], line: int, cell: str) -> None:
    with pytest.raises(ValueRangeError, match=rf"line {line:,}, column 'x'.*'{cell}'"):
        numbers(tmp_path / "t.csv", cells)


def test_commas_in_texts_do_not_decide(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name;x\n" + "a;7\n" * LATE + '"Smith, 3,5 stars";2.5\n"1,2 and";3\n')
    assert open_table(tmp_path / "t.csv").read(["x"], {"x": pa.float64()})["x"].to_pylist()[-2:] == [2.5, 3]
