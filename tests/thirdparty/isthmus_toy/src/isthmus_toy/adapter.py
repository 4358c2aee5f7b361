"""From lines of ``-``, ``0`` and ``+`` to vectors of -1, 0 and 1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from isthmus.batch import Vector
from isthmus.errors import InputError, SourceError, ValueRangeError
from isthmus.protocols import Source
from isthmus.sources import VectorSource

DIGITS = {"-": -1.0, "0": 0.0, "+": 1.0}


@dataclass(frozen=True)
class Words:
    """Words of one length."""

    words: tuple[str, ...]

    @property
    def length(self) -> int:
        """Digits a word."""
        return len(self.words[0])


class TernaryAdapter:
    """Knows how long a word is, and refuses others."""

    def __init__(self, length: int) -> None:
        self._length = length

    @property
    def signal(self) -> Vector:
        """One number a digit."""
        return Vector(self._length)

    @classmethod
    def read(cls, source: Any, **options: Any) -> Words:
        """Words from a file.

        Raises:
            SourceError: no word in it.
            ValueRangeError: a line with other characters or of another length than the first.
        """
        words = tuple(Path(source).read_text(encoding="ascii").split())
        if not words:
            raise SourceError(f"{str(source)!r} holds no words", expected="lines such as -0+")
        for line, word in enumerate(words, 1):
            if set(word) - set(DIGITS) or len(word) != len(words[0]):
                raise ValueRangeError(f"line {line} is {word!r}", expected=f"{len(words[0])} of - 0 +")
        return Words(words)

    @classmethod
    def fit(cls, records: Words) -> TernaryAdapter:
        """Learn the length."""
        return cls(records.length)

    def prepare(self, records: Words) -> Source:
        """Words as vectors.

        Raises:
            InputError: words of another length.
        """
        if records.length != self._length:
            raise InputError(f"words of {records.length} digits", expected=f"{self._length} digits")
        return VectorSource(torch.tensor([[DIGITS[digit] for digit in word] for word in records.words]))

    def state(self) -> Mapping[str, str]:
        """The length."""
        return {"ternary.json": json.dumps({"length": self._length})}

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> TernaryAdapter:
        """The inverse of ``state``."""
        return cls(json.loads(state["ternary.json"])["length"])
