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
"""Maximum number of texts for measuring the length and for checking that they are encoded and decoded exactly."""

MAX_LENGTH = 256
"""Maximum default length."""


@brief
@dataclass(frozen=True, eq=False)
class TextAdapter:
    """A tokenizer and a maximum length.

    Attributes:
        tokenizer: converts text to ids and back.
        max_length: maximum number of tokens in a row, including the end; longer texts are truncated.
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
        """Train a tokenizer and determine the maximum length.

        Args:
            records: ``Texts``, or anything that ``Texts.read`` accepts.
            kind: ``bpe`` decodes every text exactly; ``word`` splits at spaces. See ``Tokenizer.train``.
            size: maximum vocabulary size.
            max_length: maximum number of tokens in a row; by default the longest of 10,000 evenly spaced texts, at most
                256.
            tokenizer: an existing tokenizer, for which kind and size are ignored.

        Returns:
            The adapter.

        Raises:
            SettingError: an unknown kind, or a size or length that is too small.
            InputError: only empty texts, or byte pairs that do not decode exactly.
        """
        texts = Texts.of(records)
        check_not_empty(texts)
        chosen = Tokenizer.train(texts, kind, size) if tokenizer is None else tokenizer
        sample = list(texts.subsample(SAMPLE))
        _check_round_trip(chosen, sample)
        return cls(chosen, _longest_row(chosen, sample) if max_length is None else max_length)

    def prepare(self, records: Any) -> TokenSource:
        """One row for each text, in order; texts that are too long are truncated, and their number is logged."""
        texts = Texts.of(records)
        store = TokenStore.temporary(self._rows(texts), self.tokenizer.vocabulary, max_length=self.max_length)
        if store.truncated:
            logger.warning(
                "%s of %s texts are longer than %s tokens and are truncated",
                f"{store.truncated:,}",
                f"{len(texts):,}",
                self.max_length,
            )
        return TokenSource(store, self.max_length)

    def state(self) -> dict[str, str]:
        """The tokenizer in the format of the library ``tokenizers``, and what that format does not contain."""
        about = {"longest": self.max_length, **self.tokenizer.facts()}
        return {"tokenizer.json": self.tokenizer.to_json(), "text.json": json.dumps(about)}

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> TextAdapter:
        """The inverse of ``state``.

        Raises:
            BundleError: a document is missing or invalid.
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


def check_not_empty(texts: Texts) -> None:
    """Log how many texts are empty.

    Raises:
        InputError: all of them.
    """
    if texts.empty == len(texts):
        raise InputError(f"{len(texts):,} texts, all of them empty", expected="at least one with something in it")
    if texts.empty:
        logger.warning(
            "%s of %s texts are empty and become rows that only contain the end token",
            f"{texts.empty:,}",
            f"{len(texts):,}",
        )


def _check_round_trip(tokenizer: Tokenizer, sample: list[str]) -> None:
    share = tokenizer.round_trip(sample)
    if share == 1:
        return
    if tokenizer.kind == "bpe":
        raise InputError(f"byte pairs decoded only {share:.1%} of {len(sample):,} texts exactly", expected="every text")
    logger.warning(
        "the tokenizer (%s) decodes %.1f %% of %s texts exactly: differences that it does not represent, such as rare"
        " words, capitals or double spaces, is lost",
        tokenizer.kind,
        100 * share,
        f"{len(sample):,}",
    )


def _longest_row(tokenizer: Tokenizer, sample: list[str]) -> int:
    longest = max(map(len, tokenizer.encode(sample)))
    return min(max(longest, 2), MAX_LENGTH)
