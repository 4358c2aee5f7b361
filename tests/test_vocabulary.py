"""Ids and rows: whatever the ids, they come back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import InputError, UnknownIdError
from isthmus.vocabulary import Vocabulary

IDS = st.one_of(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True), st.lists(st.text(), unique=True, min_size=1))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "ids", "x"]), inner),
    max_leaves=8,
)
QUICK = settings(derandomize=True, max_examples=60, deadline=None)


@QUICK
@given(IDS)
def test_ids_and_rows_are_inverse(ids: list[int | str]) -> None:
    vocabulary = Vocabulary(ids)
    assert vocabulary.rows(ids).tolist() == list(range(len(ids)))
    assert vocabulary.take(range(len(ids))) == ids
    assert [vocabulary.parse(str(one)) for one in ids] == ids
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again == vocabulary
    assert again.kind == vocabulary.kind


@QUICK
@given(st.lists(st.integers(0, 20), unique=True), st.lists(st.integers(0, 40)))
def test_extended_keeps_old_rows_and_appends_new_ids_in_order(old: list[int], more: list[int]) -> None:
    vocabulary, extended = Vocabulary(old), Vocabulary(old).extended(more)
    assert extended.take(range(len(old))) == old
    assert extended.take(range(len(old), len(extended))) == [one for one in dict.fromkeys(more) if one not in old]
    rows, unknown = vocabulary.split(more)
    assert len(rows) + len(unknown) == len(more)
    if unknown:
        with pytest.raises(UnknownIdError, match=str(unknown[0])):
            vocabulary.rows(more)


@QUICK
@given(st.one_of(JSON.map(json.dumps), st.text()))
def test_documents_are_read_or_refused(text: str) -> None:
    try:
        vocabulary = Vocabulary.from_json(text)
    except InputError:
        return
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary
