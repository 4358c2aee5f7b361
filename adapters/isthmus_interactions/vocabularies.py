"""From the rows of one vocabulary to those of another."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from isthmus.vocabulary import Id, Vocabulary

Ids = Vocabulary | Iterable[Id] | npt.NDArray[np.generic]
"""Ids, one for each of something."""


def translate(old: Vocabulary, new: Vocabulary) -> npt.NDArray[np.int64]:
    """The row in ``new`` of each row of ``old``; -1 where there is none.

    Integers are looked up as text in a vocabulary of text, and text as integers in one of integers, as one file may
    hold only plain integers where another, of the same catalogue, holds other ids too.
    """
    ids = [as_kind(id_, new) for id_ in old.ids.tolist()]
    known = np.fromiter((id_ in new for id_ in ids), dtype=bool, count=len(ids))
    rows = np.full(len(ids), -1, dtype=np.int64)
    rows[known] = new.split(ids)[0]
    return rows


def as_kind(id_: Id, vocabulary: Vocabulary) -> Id:
    """An id as the vocabulary would hold it, if it can: an integer as text, or a plain integer's text as integer."""
    if vocabulary.kind == "string":
        return str(id_)
    # A text is an integer only if the integer would be written like it: "7", not "007".
    plain = isinstance(id_, str) and id_.removeprefix("-").isdecimal() and str(int(id_)) == id_
    return int(id_) if plain else id_
