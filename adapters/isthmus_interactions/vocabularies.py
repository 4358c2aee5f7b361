"""Mapping between the rows of two vocabularies."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from isthmus.ids import Id
from isthmus.vocabulary import Vocabulary

Ids = Vocabulary | Iterable[Id] | npt.NDArray[np.generic]
"""An array of ids."""


def translate(old: Vocabulary, new: Vocabulary) -> npt.NDArray[np.int64]:
    """The row in ``new`` for each row of ``old``; -1 for ids that are missing there.

    Integers are looked up as text in a vocabulary of text, and text as integers in a vocabulary of integers, because
    one file of a catalogue may contain only integer ids while another one also contains other ids.
    """
    if old == new:
        return np.arange(len(old))
    return new.places(old.ids.tolist())
