"""Converts text to token ids and back. The only file that imports ``tokenizers``.

Two kinds can be trained. ``bpe``: pairs of bytes merged by frequency (Sennrich et al., ACL 2016, over bytes as in
Radford et al. 2019); every text is decoded exactly. ``word``: split at spaces, as in the published sequence
autoencoders; words outside the vocabulary become ``<unk>``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from isthmus.checked.arguments import whole
from isthmus.checked.paths import read_limited
from isthmus.errors import InputError, SettingError, SourceError
from isthmus.reprs import counted, described
from isthmus_text.texts import Texts
from isthmus_text.tokens.limits import check_tokenizer
from isthmus_text.tokens.special_tokens import SpecialIds, find_special_ids

Kind = Literal["bpe", "word", "pretrained"]

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
TRAINED_IDS = SpecialIds(end=2, unknown=3, pad=0, start=1)
SMALLEST = len(SPECIAL) + 256
"""Minimum size of a byte-level vocabulary: the special tokens and all bytes."""

MOST_BYTES = 1 << 27
"""Maximum bytes of a ``tokenizer.json``; that of a multilingual vocabulary of 250,000 tokens has 20 MB."""

TRAINED_ON = 1 << 30
"""Maximum number of bytes of training text, because training needs many times as much memory."""

LONGEST_TOKEN, LONGEST_RUN = 64, 512
"""Maximum number of bytes of a token, and of bytes without a space that are merged together."""


@dataclass(frozen=True, eq=False, repr=False)
class Tokenizer:
    """Converts text to ids and back; a row of ids consists of the tokens of a text and ``end``. Created by ``train`` or
    ``pretrained``.

    Text that looks like a special token ("</s>", "[SEP]") is ordinary text, so no text can end a row early.

    Attributes:
        inner: the tokenizer of the library ``tokenizers``, without truncation and padding.
        kind: how it was created.
        special: ids of special tokens. For trained tokenizers: ``<pad>`` 0, ``<s>`` 1 (not used), ``</s>`` 2, ``<unk>``
            3.
    """

    inner: tokenizers.Tokenizer
    kind: Kind
    special: SpecialIds

    def __repr__(self) -> str:
        return described(self, f"{self.kind}, {counted(self.vocabulary, 'token')}")

    @classmethod
    def train(cls, texts: Texts, kind: Literal["bpe", "word"] = "bpe", size: int = 8000) -> Tokenizer:
        """Train a vocabulary. If there is more than 1 GiB of text, evenly spaced texts with about that total size are
        used.

        Args:
            texts: training texts.
            kind: ``bpe`` or ``word``.
            size: maximum vocabulary size, including special tokens; few texts give fewer. ``word`` uses the most
                frequent words.

        Returns:
            The tokenizer.

        Raises:
            SettingError: another kind, or a size below 260 for ``bpe``, 5 for ``word``.
            InputError: only empty texts.
        """
        if kind not in ("bpe", "word"):
            raise SettingError(f"kind={kind!r}", expected="'bpe' or 'word'")
        size, least = whole("size", size), SMALLEST if kind == "bpe" else len(SPECIAL) + 1
        if size < least:
            raise SettingError(f"size={size} for a tokenizer of kind {kind!r}", expected=f"at least {least}")
        if texts.empty == len(texts):
            raise InputError("no text to learn a vocabulary from", expected="at least one text that is not empty")
        inner, trainer = _byte_pairs(size) if kind == "bpe" else _word_level(size)
        sample = texts.subsample(max(len(texts) * TRAINED_ON // max(texts.size, TRAINED_ON), 1))
        inner.train_from_iterator(sample.blocks(size=1 << 22), trainer, len(sample))
        trained = cls(_without_added(inner), kind, TRAINED_IDS)
        if trained.vocabulary == len(SPECIAL):
            raise InputError("no word to learn a vocabulary from", expected="at least one text with a word")
        return trained

    @classmethod
    def pretrained(cls, path: str | Path) -> Tokenizer:
        """Load a ``tokenizer.json``, or a folder that contains one; its truncation and padding are disabled.

        Raises:
            SourceError: no such file.
            InputError: not a tokenizer, or one without an end token.
        """
        place = Path(path)
        file = place / "tokenizer.json" if place.is_dir() else place
        if not file.is_file():
            raise SourceError(f"no file {str(file)!r}", expected="a tokenizer.json, or a folder that holds one")
        try:
            text = read_limited(file, MOST_BYTES, "a tokenizer.json").decode("utf-8")
        except SourceError:
            raise
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"{file} cannot be read ({error})", expected="a tokenizer.json") from error
        check_tokenizer(text, str(file))
        inner = _parsed(text, str(file))
        unknown = getattr(inner.model, "unk_token", None)
        return cls(inner, "pretrained", find_special_ids(inner.get_vocab(), file.parent, unknown))

    @property
    def end(self) -> int:
        """The id of the end token."""
        return self.special.end

    @property
    def unknown(self) -> int | None:
        """The id of unknown tokens; None if a pretrained tokenizer has none."""
        return self.special.unknown

    @property
    def non_text_ids(self) -> tuple[int, ...]:
        """Ids that a decoder must not write because they are not text: padding, start, unused ids."""
        return tuple(sorted(id_ for id_ in self._special if id_ is not None and id_ != self.end))

    @cached_property
    def vocabulary(self) -> int:
        """The vocabulary size: one more than the largest id."""
        return 1 + max(self.inner.get_vocab(with_added_tokens=True).values())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, followed by ``end``. The empty text is ``[end]``.

        Raises:
            InputError: the tokenizer fails on a text, for example because its unknown token is missing.
        """
        try:
            encodings = self.inner.encode_batch_fast(list(texts), add_special_tokens=False)
        except Exception as error:  # the library raises no other
            raise InputError(f"a tokenizer that cannot read these texts ({error})", expected="a whole one") from error
        if self.kind != "pretrained":
            return [[*encoding.ids, self.end] for encoding in encodings]
        return [[*self._without_special(encoding.ids), self.end] for encoding in encodings]

    def encode_batch(self, texts: Sequence[str], max_length: int) -> list[list[int]]:
        """The same as ``encode``, truncated: a longer row keeps its first ``max_length - 1`` tokens and ``end``.

        Raises:
            SettingError: ``max_length`` below 1.
        """
        if max_length < 1:
            raise SettingError(f"max_length={max_length}", expected="at least 1, because every row has an end")
        return [row if len(row) <= max_length else [*row[: max_length - 1], self.end] for row in self.encode(texts)]

    def decode_batch(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The texts of rows of ids, each up to its first ``end``. Special tokens are omitted; words are joined by
        spaces.

        Raises:
            InputError: an id outside the vocabulary.
        """
        contents = [self._content(row) for row in rows]
        if self.kind == "word":
            return [" ".join((self.inner.id_to_token(id_) or "").strip() for id_ in row) for row in contents]
        return list(self.inner.decode_batch(contents, skip_special_tokens=False))

    def round_trip(self, texts: Sequence[str]) -> float:
        """The share of texts, 0 to 1, that are decoded exactly; 1 for no texts."""
        if not texts:
            return 1.0
        back = self.decode_batch(self.encode(texts))
        return sum(map(str.__eq__, back, texts)) / len(texts)

    def to_json(self) -> str:
        """The contents of a ``tokenizer.json``."""
        return str(self.inner.to_str())

    def facts(self) -> dict[str, Any]:
        """Additional data for ``from_json``, as JSON values: the kind and the special ids."""
        return {"kind": self.kind, **asdict(self.special)}

    @classmethod
    def from_json(cls, text: str, facts: Mapping[str, Any]) -> Tokenizer:
        """The inverse of ``to_json`` and ``facts``.

        Raises:
            InputError: not a tokenizer, or facts that do not match it.
        """
        if len(text) > MOST_BYTES:
            raise InputError(f"a tokenizer of {len(text):,} characters", expected=f"at most {MOST_BYTES:,}")
        check_tokenizer(text, "the document")
        inner = _parsed(text, "the document")
        ids = {name: facts.get(name) for name in ("end", "unknown", "pad", "start")}
        largest = max(inner.get_vocab(with_added_tokens=True).values(), default=-1)
        fits = [
            (type(id_) is int and 0 <= id_ <= largest) or (id_ is None and name in ("unknown", "start"))
            for name, id_ in ids.items()
        ]
        if facts.get("kind") not in ("bpe", "word", "pretrained") or not all(fits):
            raise InputError(f"facts of a tokenizer: {dict(facts)}", expected="a kind and ids of its vocabulary")
        special: Any = ids
        return cls(inner, facts["kind"], SpecialIds(**special))

    def _without_special(self, ids: list[int]) -> list[int]:
        # Some published vocabularies contain "</s>" as an ordinary piece, which can occur in a text.
        if self._special.isdisjoint(ids):
            return ids
        spelled = [self.unknown if id_ in self._special else id_ for id_ in ids]
        return [id_ for id_ in spelled if id_ is not None]

    @cached_property
    def _special(self) -> frozenset[int | None]:
        # Our byte-level vocabularies represent all text, so their unknown token is never text either.
        return frozenset({0, 1, 2, 3} if self.kind == "bpe" else {self.special.pad, self.special.start, self.end})

    def _content(self, row: Sequence[int]) -> list[int]:
        ids = list(row)
        ids = ids[: ids.index(self.end)] if self.end in ids else ids
        outside = [id_ for id_ in ids if not 0 <= id_ < self.vocabulary]
        if outside:
            raise InputError(f"token id {outside[0]}", expected=f"0 to {self.vocabulary - 1}")
        return [id_ for id_ in ids if id_ not in self._special]


def _byte_pairs(size: int) -> tuple[Any, Any]:
    inner = tokenizers.Tokenizer(models.BPE())
    # The pattern never joins letters and punctuation, so no merge can produce "</s>" and thus the id of the end.
    runs = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    # Merging inside a run takes quadratic time; without this limit, training on a line of base64 would never end.
    inner.pre_tokenizer = pre_tokenizers.Sequence([runs, pre_tokenizers.FixedLength(LONGEST_RUN)])
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    return inner, trainer


def _word_level(size: int) -> tuple[Any, Any]:
    # The space before it keeps special tokens distinct from words: "<unk>" in a text is an ordinary word.
    special = [f" {token}" for token in SPECIAL]
    inner = tokenizers.Tokenizer(models.WordLevel(unk_token=special[TRAINED_IDS.unknown or 0]))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return inner, trainers.WordLevelTrainer(vocab_size=size, special_tokens=special, show_progress=False)


def _without_added(inner: Any) -> Any:
    """The same vocabulary without added tokens, which would be matched in the raw text."""
    document = json.loads(inner.to_str())
    document["added_tokens"] = []
    return _parsed(json.dumps(document), "the trained tokenizer")


def _parsed(text: str, name: str) -> Any:
    try:
        inner = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{name} is not a tokenizer ({error})", expected="the contents of a tokenizer.json") from None
    inner.no_truncation()
    inner.no_padding()
    # Special tokens are found by their ids only, never in a text.
    inner.encode_special_tokens = True
    return inner
