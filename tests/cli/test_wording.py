"""Numbers as people read them."""

from __future__ import annotations

import pytest

from isthmus.cli import wording
from isthmus.reprs import counted


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (counted(1, "text"), "1 text"),
        (counted(1200, "text"), "1,200 texts"),
        (counted(2, "query"), "2 queries"),
        (wording.duration(0.04), "0.0 s"),
        (wording.duration(9.1), "9.1 s"),
        (wording.duration(43.2), "43 s"),
        (wording.duration(1991.6), "33 min"),
        (wording.duration(9000), "2.5 h"),
        (wording.size(1), "1 byte"),
        (wording.size(384_000), "384 kB"),
        (wording.size(1_230_000), "1.2 MB"),
        (wording.size(5_000_000_000_000_000), "5,000 TB"),
        (wording.number(62106), "62,106"),
        (wording.number(134.2484), "134.2"),
        (wording.number(1991.6), "1,992"),
        (wording.number(0.0), "0"),
        (wording.number(float("inf")), "inf"),
        (wording.share(0.05), "1 in 20"),
        (wording.share(0.03), "3 in 100"),
        (wording.share(0.0), "none"),
        (
            wording.flagged(15, 100, "rows", 2.7140, 0.05),
            "15 of 100 rows score above 2.714, as 1 in 20 normal ones would",
        ),
    ],
)
def test_words(said: str, expected: str) -> None:
    assert said == expected


def test_figures_have_names_and_units() -> None:
    shown = wording.figures({"nll": 113.96571, "exact": 0.125, "rate": None, "sparse": False, "texts": 3}, ["texts"])
    assert shown == [
        ("−log-likelihood given the code", "114 nats"),
        ("exact reconstructions", "12.5%"),
        ("sparse", "no"),
    ]
