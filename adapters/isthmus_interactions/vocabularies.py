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
    if old == new:
        return np.arange(len(old))
    return new.places(old.ids.tolist())
