"""Vocabularies against plain lists and dictionaries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import InputError, UnknownIdError
from isthmus.ids import Id
from isthmus.vocabulary import Vocabulary

NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=8)
TEXTS = st.lists(st.text(max_size=4), unique=True, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "ids", "x"]), inner),
    max_leaves=8,
)
reproducible = settings(derandomize=True, max_examples=60, deadline=None)


@reproducible
@given(st.one_of(NUMBERS, TEXTS), st.lists(st.one_of(st.integers(-3, 3), st.text(max_size=1)), max_size=5))
def test_rows_are_places_in_the_list(ids: list[Id], others: list[Id]) -> None:
    vocabulary = Vocabulary(ids)
    place = {id_: row for row, id_ in enumerate(ids)}
    assert len(vocabulary) == len(ids)
    assert vocabulary.take(range(len(ids))) == ids
    assert vocabulary.rows(ids[::-1]).tolist() == list(range(len(ids)))[::-1]
    rows, unknown = vocabulary.split([*others, *ids])
    known = [id_ for id_ in others if id_ in place]
    assert rows.tolist() == [place[id_] for id_ in [*known, *ids]]
    assert unknown == [id_ for id_ in others if id_ not in place]
    for id_ in unknown:
        with pytest.raises(UnknownIdError):
            vocabulary.rows([id_])


@reproducible
@given(st.one_of(st.tuples(NUMBERS, NUMBERS), st.tuples(TEXTS, TEXTS)))
def test_an_extension_keeps_old_rows(lists: tuple[list[Id], list[Id]]) -> None:
    old, new = lists
    extended = Vocabulary(old).extended(new)
    assert extended.take(range(len(extended))) == [*old, *(id_ for id_ in new if id_ not in old)]


@reproducible
@given(st.one_of(NUMBERS, TEXTS))
def test_a_document_holds_everything(ids: list[Id]) -> None:
    vocabulary = Vocabulary(ids)
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again == vocabulary
    assert again.kind == vocabulary.kind


@reproducible
@given(st.lists(st.integers(0, 3), min_size=1))
def test_an_id_given_twice_is_refused(ids: list[int]) -> None:
    if len(set(ids)) == len(ids):
        assert Vocabulary(ids).ids.tolist() == ids
        return
    with pytest.raises(InputError):
        Vocabulary(ids)


@reproducible
@given(st.one_of(JSON.map(json.dumps), st.text()))
def test_documents_are_read_or_refused(text: str) -> None:
    try:
        vocabulary = Vocabulary.from_json(text)
    except InputError:
        return
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([7, 0, 7], [1, 0, 1]),
        ([], []),
        ([7, 5], None),
        ([True], None),
        ([7.0], None),
        (["7"], None),
        ([[7]], None),
    ],
)
def test_only_known_ids_as_they_are_written_here_are_exact(asked: list[Any], expected: list[int] | None) -> None:
    assert Vocabulary([0, 7, 1]).exact(asked) == expected
