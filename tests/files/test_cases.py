"""The files that people had trouble with, in the folder of cases beside the checkout: each gives what its README calls
right. Small files of the same kinds are in the other tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.errors import ColumnError, InputError

CASES = Path(__file__).parents[2].parent / "shared" / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs the folder of cases beside the checkout")

EVENTS = 654


@pytest.mark.parametrize(
    ("name", "column", "first", "count"),
    [
        ("a.jsonl", None, "hello 1", 60),
        ("x_semi.csv", None, "hello number 1", 60),
        ("sts.tsv", "text", "A plain sentence 0", 200),
        ("sts.tsv", "sentence1", "A man number 0", 200),
    ],
)
def test_texts(name: str, column: str | None, first: str, count: int) -> None:
    from isthmus_text.texts import Texts

    texts = Texts.read(CASES / "text" / name, column=column)
    assert len(texts) == count
    assert texts[0] == first
    assert not any("{" in text or ";" in text for text in texts)


@pytest.mark.parametrize(
    ("name", "columns", "rows"),
    [
        ("h_default_columns.csv", ("0", "1", "2", "3"), 100),
        ("h_spectra.csv", ("400.0", "400.5", "401.0", "401.5"), 100),
        ("h_with_index.csv", ("a", "b", "c", "d"), 100),
        ("semicolon.csv", ("temp", "load", "const", "zeros", "big", "flag", "rare"), 300),
    ],
)
def test_vectors(name: str, columns: tuple[str, ...], rows: int, caplog: pytest.LogCaptureFixture) -> None:
    from isthmus_vectors.vectors import Vectors

    with caplog.at_level("INFO"):
        vectors = Vectors.read(CASES / "vectors" / name)
    assert (len(vectors), vectors.columns) == (rows, columns)
    if name == "h_with_index.csv":
        assert "left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("dupcols.csv", ColumnError, "2 columns 'temp'"),
        ("question.csv", ColumnError, r"line 7, column 'temp'.*'\?'"),
    ],
)
def test_vectors_that_are_refused(name: str, error: type[InputError], said: str) -> None:
    from isthmus_vectors.vectors import Vectors

    with pytest.raises(error, match=said):
        Vectors.read(CASES / "vectors" / name)


@pytest.mark.parametrize("name", ["twelve0.png", "twelve1.tif", "mode_I_0_255.tif"])
def test_deep_pictures(name: str) -> None:
    from isthmus_images.images import Images

    pixels = Images.read(CASES / "images" / name).pixels
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert len(np.unique(pixels)) > 100


def test_pictures_of_all_endings_are_read_or_listed() -> None:
    from isthmus_images.images import Images

    found = Images.read(CASES / "images", size=16, on_error="skip")
    files = {path.name for path in (CASES / "images").iterdir()}
    assert set(found.names) | set(found.skipped) == files
    assert {"jfif.jfif", "twelve0.png"} <= set(found.names)


@pytest.mark.parametrize(
    ("name", "facts", "options"),
    [
        ("lone_quote.tsv", {"rows": EVENTS}, {}),
        ("lone_quote_item.tsv", {"rows": EVENTS}, {}),
        ("ratings.dat", {"rows": EVENTS}, {}),
        ("u.data", {"rows": EVENTS}, {}),
        ("excel_sep.csv", {"rows": EVENTS}, {}),
        ("utf16.csv", {"rows": EVENTS}, {}),
        ("excel_decimal_comma.csv", {"rows": EVENTS}, {}),
        ("snowflake.csv", {"rows": EVENTS, "kind": "int64"}, {}),
        ("float_ids.csv", {"rows": EVENTS, "kind": "int64"}, {}),
        ("nullish.csv", {"rows": 658, "missing": True, "kind": "int64"}, {}),
        ("us.csv", {"rows": EVENTS}, {}),
        ("us.csv", {"rows": EVENTS, "timed": True}, {"time": "timestamp"}),
        ("some_missing.csv", {"rows": EVENTS}, {}),
        ("pm.csv", {"rows": 120}, {"keep": ">=1"}),
        ("BX-Book-Ratings.csv", {"rows": EVENTS}, {}),
    ],
)
def test_interactions(name: str, facts: dict[str, Any], options: dict[str, Any]) -> None:
    from isthmus_interactions import Interactions

    read = Interactions.read(CASES / "interactions" / name, **options)
    assert read.report.rows_read == facts["rows"]
    assert read.nnz
    assert read.items.kind == facts.get("kind", read.items.kind)
    assert bool(read.report.missing_words) == facts.get("missing", False)
    assert read.times is not None or not facts.get("timed")
    if name == "snowflake.csv":
        assert 1400000000000000026 in read.items
    if name == "float_ids.csv":
        assert read.items.held(26) == read.items.held("26") == 26


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ratings", "titles"),
    [
        ("ratings.dat", "movies.dat"),
        ("u.data", "u.item"),
        ("excel_sep.csv", "movies_latin1.csv"),
        ("BX-Book-Ratings.csv", "BX-Books.csv"),
    ],
)
def test_titles(ratings: str, titles: str) -> None:
    from isthmus_interactions import Interactions
    from isthmus_interactions.recommend.titles import read

    items = Interactions.read(CASES / "interactions" / ratings).items
    found = read(CASES / "interactions" / titles, items)
    assert len(found) >= 0.9 * min(len(items), 40)
    assert any("é" in title or "è" in title for title in found.values())
    assert not any("\ufffd" in title or "Ã" in title for title in found.values())


def test_short_histories_are_trained_on() -> None:
    from isthmus_interactions import Recommender

    recommender = Recommender.fit(CASES / "interactions" / "two.csv", "ease", progress=False)
    assert recommender.recommend([["p27"]], 3)[0].ids
