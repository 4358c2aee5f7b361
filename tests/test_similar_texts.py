"""Texts like a given one."""

import pytest

from isthmus.similar_texts import similar_texts

KNOWN = ["Silence of the Lambs, The (1991)", "Matrix, The (1999)", "Matrix Reloaded, The (2003)", "Dune", "It", "É\nt"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("silence of the lambs", ["Silence of the Lambs, The (1991)"]),
        ("MATRIX", ["Matrix, The (1999)", "Matrix Reloaded, The (2003)"]),
        ("Matrx, The (1999)", ["Matrix, The (1999)"]),
        ("Dnue", ["Dune"]),
        ("it", ["It"]),
        pytest.param("é t", ["É\nt"], id="accents and line breaks"),
        ("xyzzy", []),
        ("  ", []),
    ],
)
def test_what_is_alike_comes_first_and_nothing_else_comes(wanted: str, found: list[str]) -> None:
    assert [KNOWN[place] for place in similar_texts(wanted, KNOWN)] == found


def test_no_more_than_asked_for_and_none_of_nothing() -> None:
    assert len(similar_texts("matrix", KNOWN, 1)) == 1
    assert similar_texts("matrix", []) == []
    assert similar_texts("\ud800", ["a", ""]) == []


def test_the_nearest_among_many() -> None:
    known = [f"title number {n}" for n in range(200_000)]
    assert known[similar_texts("titel number 123456", known, 1)[0]] == "title number 123456"
