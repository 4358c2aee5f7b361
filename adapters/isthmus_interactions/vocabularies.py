"""Mapping between the rows of two vocabularies."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from isthmus.vocabulary import Id, Vocabulary

Ids = Vocabulary | Iterable[Id] | npt.NDArray[np.generic]
"""An array of ids."""


def translate(old: Vocabulary, new: Vocabulary) -> npt.NDArray[np.int64]:
    """The row in ``new`` for each row of ``old``; -1 for ids that are missing there.

    Integers are looked up as text in a vocabulary of text, and text as integers in a vocabulary of integers, because
    one file of a catalogue may contain only integer ids while another one also contains other ids.
    """
    ids = [as_kind(id_, new) for id_ in old.ids.tolist()]
    known = np.fromiter((id_ in new for id_ in ids), dtype=bool, count=len(ids))
    rows = np.full(len(ids), -1, dtype=np.int64)
    rows[known] = new.split(ids)[0]
    return rows


def as_kind(id_: Id, vocabulary: Vocabulary) -> Id:
    """Convert an id to the type of the vocabulary if possible: an integer to text, or the text of an integer to an
    integer."""
    if vocabulary.kind == "string":
        return str(id_)
    # Text counts as an integer only if the integer would be written in the same way: "7", not "007".
    plain = isinstance(id_, str) and id_.removeprefix("-").isdecimal() and str(int(id_)) == id_
    return int(id_) if plain else id_
