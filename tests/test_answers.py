"""Answers as sequences, as tables and as text."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from isthmus.answers import Answers, RankedList, RankedLists
from isthmus.errors import MissingLibraryError
from isthmus.fitted import Gallery
from isthmus.index import Index
from isthmus.reprs import counted, one_line
from isthmus_interactions.recommend.answers import Answer, Result, result_types

RESULT = {"rank": pa.int64(), "id": pa.int64(), "score": pa.float64(), "title": pa.large_string()}


def books() -> Answers[Answer]:
    """Two readers' answers; one has unknown ids in the history and a title that is no HTML."""
    first = Answer([7, 19], [0.9, 0.5], titles=["The <Hobbit> & more", None], kind="int64")
    second = Answer([19], [0.25], ["x", 3], True, ["Dune"], "int64")
    return Answers([first, second], result_types("int64"))


def texts(queries: int = 2) -> RankedLists[RankedList[tuple[object, ...]]]:
    gallery = Gallery(torch.eye(3), ("a", "b\nb", "c"), ("x", "y", "x"))
    return gallery.search(torch.eye(3)[:queries], 2)  # type: ignore[return-value]


def vectors(queries: int = 2) -> RankedLists[RankedList[tuple[object, ...]]]:
    return Index.build(np.eye(3), ["a", "b", "c"]).search(np.eye(3)[:queries], 2)  # type: ignore[return-value]


def test_an_answer_is_a_sequence_of_results() -> None:
    (first, second) = answers = books()
    assert first[0] == Result(7, 0.9, "The <Hobbit> & more") == (7, 0.9, "The <Hobbit> & more")
    assert [item for item, _, _ in first] == first.ids == [one.id for one in first]
    assert first[-1] == (19, 0.5, None)
    assert (19, 0.5, None) in first
    assert first[1:].ids == [19]
    assert second[:0].popular
    assert len(answers) == 2
    assert len(first) == 2
    assert answers[1] == second
    assert answers[-1] is second
    assert answers == [first, second]
    assert answers != [second, first]
    assert isinstance(answers[:1], Answers)
    assert answers[:1] == [first]
    with pytest.raises(IndexError):
        first[2]
    with pytest.raises(IndexError):
        answers[2]
    assert Answer([1], [1.0]) != Answer([1], [1.0], [2])
    assert Answer([1], [1.0]).titles == [None]


@pytest.mark.parametrize("ask", [texts, vectors])
def test_what_a_search_finds_is_such_a_sequence_too(ask: partial[RankedLists[RankedList[tuple[object, ...]]]]) -> None:
    found = ask()
    assert len(found) == 2
    assert [len(one) for one in found] == [2, 2]
    assert found[1:].queries == range(1, 2)
    assert list(found[1:]) == [found[1]] == found[1:]
    assert found == ask()
    assert found[0] == list(found[0])
    assert found[0][:1] == [found[0][0]]
    assert found[0][0] in found[0]


def test_the_table_of_several_answers_names_the_query() -> None:
    table = books().to_arrow()
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {"query": pa.int64(), **RESULT}
    assert table.to_pydict() == {
        "query": [0, 0, 1],
        "rank": [1, 2, 1],
        "id": [7, 19, 19],
        "score": [0.9, 0.5, 0.25],
        "title": ["The <Hobbit> & more", None, "Dune"],
    }
    assert books()[1:].to_arrow()["query"].to_pylist() == [1]
    asked = Answers([Answer(["a"], [1.0])], result_types("string"), ["u7"], "string").to_arrow()
    assert asked.to_pylist() == [{"query": "u7", "rank": 1, "id": "a", "score": 1.0, "title": None}]


@pytest.mark.parametrize("ask", [texts, vectors, lambda n=2: books()[:n]])
def test_types_of_columns_do_not_depend_on_what_was_found(
    ask: partial[RankedLists[RankedList[tuple[object, ...]]]],
) -> None:
    whole, nothing = ask(), ask(0)
    assert len(nothing) == 0
    assert nothing == []
    assert nothing.to_arrow().schema == whole.to_arrow().schema
    assert whole[0][:0].to_arrow().schema == whole[0].to_arrow().schema
    assert len(whole[0][:0].to_arrow()) == 0
    strings = Index.build(np.eye(2), ["a", "b"]).search(np.eye(2), 1, allow=[])
    assert strings.to_arrow().schema.field("id").type == pa.large_string()
    assert strings[0].to_arrow().schema.field("id").type == pa.large_string()


@pytest.mark.parametrize("ask", [texts, vectors, books])
def test_libraries_of_tables_read_answers(ask: partial[RankedLists[RankedList[tuple[object, ...]]]]) -> None:
    for answer in (ask(), ask()[0]):
        table = answer.to_arrow()
        assert pa.table(answer) == table
        assert pl.DataFrame(answer).to_dicts() == table.to_pylist()
        assert answer.to_pandas().equals(table.to_pandas())
        if hasattr(pd.DataFrame, "from_arrow"):  # since pandas 3
            assert list(pd.DataFrame.from_arrow(answer).columns) == table.column_names


def test_without_pandas_the_error_says_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.answers.tabular.find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match="to_arrow"):
        books().to_pandas()


def test_an_answer_is_shown_in_few_words() -> None:
    answers = books()
    assert repr(answers[0]) == "<Answer: The <Hobbit> & more 0.9, 19 0.5>"
    assert repr(answers[1]).startswith("<Answer: Dune 0.25\n  the most popular items")
    assert repr(answers) == "<Answers to 2 queries; [0]: The <Hobbit> & more 0.9, 19 0.5>"
    assert repr(answers[:0]) == "<Answers: no queries>"
    assert repr(answers[0][:0]) == "<Answer: no results>"
    many = Answer(list(range(10**5)), [1.0] * 10**5, [f"{'long' * 99}\n\n"] * 10**5, True, ["word\n" * 10**5] * 10**5)
    assert len(repr(many)) < 300
    assert len(repr(many).splitlines()) <= 3


def test_a_notebook_shows_a_table_of_the_best_and_escapes_it() -> None:
    page = books()._repr_html_()
    assert "The &lt;Hobbit&gt; &amp; more" in page
    assert "<Hobbit>" not in page
    assert page.count("<tr>") == 5
    assert "&#x27;x&#x27;" in page  # what was unknown
    long = Answers([Answer(list(range(50)), [0.0] * 50)] * 9, result_types("int64"))._repr_html_()
    assert long.count("<tr>") == 3 * (1 + 10)
    assert "<th>title</th>" not in long
    assert "and 40 more results" in long
    assert "and 6 more queries" in long
    assert "b b" in texts()._repr_html_()


def test_words_for_numbers() -> None:
    assert [counted(n, "query") for n in (0, 1, 1200)] == ["0 queries", "1 query", "1,200 queries"]
    assert one_line("a\n  b" * 100, 8) == "a ba ba…"
    assert one_line("a" * 8, 8) == "a" * 8
