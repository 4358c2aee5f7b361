"""Texts as rows of tokens."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isthmus.batch import Tokens
from isthmus.errors import BundleError, InputError, SettingError
from isthmus.reprs import brief
from isthmus_text.texts import Texts
from isthmus_text.tokens.source import TokenSource
from isthmus_text.tokens.store import TokenStore
from isthmus_text.tokens.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

SAMPLE = 10_000
"""Texts that the length is measured on, and that are encoded and decoded as a check; at most."""

MAX_LENGTH = 256
"""The largest length that is chosen by default."""


@brief
@dataclass(frozen=True, eq=False)
class TextAdapter:
    """A tokenizer, and how long a row of tokens may be.

    Attributes:
        tokenizer: text to ids and back.
        max_length: tokens of a row at most, its end included; longer texts are cut.
    """

    tokenizer: Tokenizer
    max_length: int

    def __post_init__(self) -> None:
        if self.max_length < 2:
            raise SettingError(f"max_length={self.max_length}", expected="at least 2: a token and the end")

    @property
    def signal(self) -> Tokens:
        """Rows of at most ``max_length`` ids below the size of the vocabulary."""
        return Tokens(self.tokenizer.vocabulary, self.max_length)

    @classmethod
    def read(cls, source: Any, **options: Any) -> Texts:
        """Texts from a file, table, list or iterator; see ``Texts.read``."""
        return Texts.read(source, **options)

    @classmethod
    def fit(
        cls,
        records: Any,
        *,
        kind: Literal["bpe", "word"] = "bpe",
        size: int = 8000,
        max_length: int | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> TextAdapter:
        """Learn the tokens, and how long a row is.

        Args:
            records: ``Texts``, or what ``Texts.read`` takes.
            kind: ``bpe`` gives every text back exactly; ``word`` splits at spaces. See ``Tokenizer.train``.
            size: tokens at most.
            max_length: tokens of a row at most; by default the longest of 10,000 evenly spaced texts, and at most 256.
            tokenizer: one that is there already; kind and size are not looked at then.

        Raises:
            SettingError: an unknown kind, or a size or length with no room.
            InputError: nothing but empty texts, or byte pairs that do not give a text back.
        """
        texts = Texts.of(records)
        if texts.empty == len(texts):
            raise InputError(f"{len(texts):,} texts, all of them empty", expected="at least one with something in it")
        if texts.empty:
            logger.warning(
                "%s of %s texts are empty: each becomes a row with nothing but its end",
                f"{texts.empty:,}",
                f"{len(texts):,}",
            )
        chosen = Tokenizer.train(texts, kind, size) if tokenizer is None else tokenizer
        sample = list(texts.subsample(SAMPLE))
        _check_round_trip(chosen, sample)
        return cls(chosen, _longest_row(chosen, sample) if max_length is None else max_length)

    def prepare(self, records: Any) -> TokenSource:
        """A row for every text, in that order; texts that are too long are cut, which is logged with their number."""
        texts = Texts.of(records)
        store = TokenStore.temporary(self._rows(texts), self.tokenizer.vocabulary, max_length=self.max_length)
        if store.truncated:
            logger.warning(
                "%s of %s texts are longer than %s tokens: cut there",
                f"{store.truncated:,}",
                f"{len(texts):,}",
                self.max_length,
            )
        return TokenSource(store, self.max_length)

    def state(self) -> dict[str, str]:
        """The tokenizer in the format of the library ``tokenizers``, and what that format does not hold."""
        about = {"longest": self.max_length, **self.tokenizer.facts()}
        return {"tokenizer.json": self.tokenizer.to_json(), "text.json": json.dumps(about)}

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> TextAdapter:
        """The inverse of ``state``.

        Raises:
            BundleError: a document is missing or not what it should be.
        """
        missing = [name for name in ("tokenizer.json", "text.json") if name not in state]
        if missing:
            raise BundleError(
                f"the bundle holds no {' and no '.join(missing)}", expected="tokenizer.json and text.json"
            )
        try:
            about = json.loads(state["text.json"])
            return cls(Tokenizer.from_json(state["tokenizer.json"], about), int(about["longest"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BundleError(f"the documents of the tokenizer do not fit ({error})", expected="as saved") from None

    def _rows(self, texts: Texts) -> Iterator[list[int]]:
        for block in texts.blocks(size=1 << 22):
            yield from self.tokenizer.encode(block)


def _check_round_trip(tokenizer: Tokenizer, sample: list[str]) -> None:
    share = tokenizer.round_trip(sample)
    if share == 1:
        return
    if tokenizer.kind == "bpe":
        raise InputError(f"byte pairs gave back only {share:.1%} of {len(sample):,} texts", expected="every text")
    logger.warning(
        "the tokenizer (%s) gives back %.1f %% of %s texts exactly: what it does not know or tells apart, such as rare"
        " words, capitals or double spaces, is lost",
        tokenizer.kind,
        100 * share,
        f"{len(sample):,}",
    )


def _longest_row(tokenizer: Tokenizer, sample: list[str]) -> int:
    longest = max(map(len, tokenizer.encode(sample)))
    return min(max(longest, 2), MAX_LENGTH)
