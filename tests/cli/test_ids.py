"""Ids as they are typed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from isthmus.cli.ids import IdReader
from isthmus.errors import InputError, UnknownIdError
from isthmus.vocabulary import Vocabulary

LAMBS = "Silence of the Lambs, The (1991)"
FILMS = IdReader(Vocabulary([LAMBS, "Matrix, The (1999)", "Alien", "[REC] (2007)", "10,000 BC", "@ home"]), "--history")
NUMBERS = IdReader(Vocabulary([7, 19, 126, -3]), "--history")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("7,19,126", [7, 19, 126]),
        (" 7, 19 ,", [7, 19]),
        ("-3", [-3]),
        ("999", [999]),
        ("", []),
        ("[7, 19]", [7, 19]),
        ('["7"]', [7]),
        ("[]", []),
        ("[[7, 2], [19, 0.5]]", {7: 2.0, 19: 0.5}),
    ],
)
def test_numbers(text: str, ids: object) -> None:
    assert NUMBERS.lists([text]) == [ids]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (LAMBS, [LAMBS]),
        (f"{LAMBS},Alien, Matrix, The (1999)", [LAMBS, "Alien", "Matrix, The (1999)"]),
        ("10,000 BC,Alien", ["10,000 BC", "Alien"]),
        ("[REC] (2007),Alien", ["[REC] (2007)", "Alien"]),
        ("@ home", ["@ home"]),
        ("Alien,nobody", ["Alien", "nobody"]),
        (f'["{LAMBS}", "Alien"]', [LAMBS, "Alien"]),
        (f'[["{LAMBS}", 3]]', {LAMBS: 3.0}),
        ("[7]", ["7"]),
    ],
)
def test_ids_that_hold_commas_are_found(text: str, ids: object) -> None:
    assert FILMS.lists([text]) == [ids]


def test_what_can_be_read_in_two_ways_is_refused() -> None:
    reader = IdReader(Vocabulary(["a", "b", "a,b", "c"]), "--history")
    with pytest.raises(InputError, match=r"2 ways.*JSON array: --history '\[\"a\", \"b\", \"c\"\]'"):
        reader.lists(["a,b,c"])
    assert reader.lists(['["a,b"]', "b,c"]) == [["a,b"], ["b", "c"]]


def test_a_file_holds_a_list_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "histories"
    file.write_text("7,19\n\n[126]\n[[7, 2.0]]\n", encoding="utf-8-sig")
    assert NUMBERS.lists([f"@{file}", "19"]) == [[7, 19], [126], {7: 2.0}, [19]]
    assert NUMBERS.flat([f"@{file}", "19"]) == [7, 19, 126, 7, 19]
    monkeypatch.setattr("sys.stdin", io.StringIO("7\n19\n"))
    assert NUMBERS.lists(["@-"]) == [[7], [19]]


@pytest.mark.slow
def test_a_long_history_is_read_at_once() -> None:
    assert FILMS.lists([",".join(["Alien", LAMBS] * 2000)]) == [["Alien", LAMBS] * 2000]


def test_mistakes_say_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ids.txt").write_text("7\n")
    Path("odd").write_bytes(b"\xff\xfe7")
    for reader, text, said in [
        (NUMBERS, "ids.txt", "write @ids.txt"),
        (FILMS, "ids.txt", "write @ids.txt"),
        (NUMBERS, "@nothing", "cannot be read"),
        (NUMBERS, "@.", "cannot be read"),
        (NUMBERS, "@odd", "is not text"),
        (NUMBERS, "[7", "not a JSON array"),
        (FILMS, "[Alien]", "not a JSON array"),
        (NUMBERS, "[7, [19, 2]]", "ids: numbers or texts"),
        (NUMBERS, "[[7]]", "pairs"),
        (NUMBERS, "[true]", "ids: numbers or texts"),
        (NUMBERS, "[7.5]", "ids: numbers or texts"),
    ]:
        with pytest.raises(InputError, match=said):
            reader.lists([text])


def test_a_text_where_ids_are_numbers_leads_to_what_was_meant() -> None:
    reader = IdReader(NUMBERS.known, "--item", lambda text: f"did you mean 7 ({text})?")
    with pytest.raises(UnknownIdError, match=r"--item 'Alien, The' is not a number.*did you mean 7 \(Alien, The\)"):
        reader.one("Alien, The")
