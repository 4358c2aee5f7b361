"""What is said of ids and histories that nobody knows."""

import warnings

import pyarrow as pa
import pytest

from isthmus.errors import UnknownHistoryWarning, UnknownIdError
from isthmus.vocabulary import Vocabulary
from isthmus_interactions import Interactions, Recommender
from isthmus_interactions.recommend.suggest import Suggestion, did_you_mean, suggest


@pytest.fixture(scope="module")
def films() -> Recommender:
    table = pa.table({"user": [1, 1, 2, 2, 3], "item": [7, 8, 7, 9, 8]})
    titles = {7: "Matrix, The (1999)", 8: "Dune (2021)", 9: "Heat (1995)"}
    return Recommender.fit(Interactions.read(table), "popularity", titles=titles)


@pytest.fixture(scope="module")
def books() -> Recommender:
    table = pa.table({"user": ["a", "a", "b"], "item": ["dune", "emma", "dune"]})
    return Recommender.fit(Interactions.read(table), "popularity")


def test_ids_in_the_other_type_similar_ids_and_titles_are_suggested(films: Recommender, books: Recommender) -> None:
    assert suggest(films, "7") == [Suggestion(7, "Matrix, The (1999)")]
    assert suggest(films, "matrix") == [Suggestion(7, "Matrix, The (1999)")]
    assert suggest(films.fitted, 77) == []
    assert suggest(books, "Dnue") == [Suggestion("dune", None)]
    assert did_you_mean(suggest(films, "matrix")) == "did you mean 7 (Matrix, The (1999))?"
    assert did_you_mean([]) == ""


def test_errors_carry_what_may_have_been_meant(films: Recommender, books: Recommender) -> None:
    with pytest.raises(UnknownIdError, match=r"unknown item 'matrix'.*did you mean 7 \(Matrix, The"):
        films.similar_items(["matrix"])
    with pytest.raises(UnknownIdError, match="did you mean 'emma'"):
        books.explain(["dune"], "Emma")
    with pytest.raises(UnknownIdError, match=r"unknown id 'Emma'.*did you mean 'emma'\?"):
        Vocabulary(["dune", "emma"]).rows(["Emma"])


def test_a_history_of_which_nothing_is_known_is_warned_of_at_the_callers_line(films: Recommender) -> None:
    with pytest.warns(UnknownHistoryWarning, match=r"'matrix'.*most popular.*did you mean 7 \(Matrix"):
        answers = films.recommend([["matrix", 99]], 1)
    assert answers[0].popular
    with pytest.warns(UnknownHistoryWarning, match="1 of 2 histories"):
        films.similar_users([["x"], [7]])
    with pytest.warns(UnknownHistoryWarning, match="popularity"):
        films.score([["x"]], [7])


def test_histories_that_are_empty_or_partly_known_are_not_warned_of(films: Recommender) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        films.recommend([[], ["x", 7]], 1)
