"""Special ids of a pretrained tokenizer (end, start, padding, unknown), read from its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.checked.paths import read_limited
from isthmus.errors import InputError

ENDS = ("</s>", "[SEP]", "<|endoftext|>", "<|end_of_text|>", "<eos>", "[EOS]", "<end>")
UNKNOWNS = ("<unk>", "[UNK]")
PADS = ("<pad>", "[PAD]")
STARTS = ("<s>", "[CLS]", "<bos>", "[BOS]")


@dataclass(frozen=True)
class SpecialIds:
    """Special ids.

    Attributes:
        end: ends every row.
        unknown: for text outside the vocabulary; None if there is no such text or it is dropped.
        pad: fills rows; masks determine what is padding, never this id.
        start: expected by the tokenizer's model before a text, but never part of a row. None if there is none.
    """

    end: int
    unknown: int | None
    pad: int = 0
    start: int | None = None


def find_special_ids(vocabulary: Mapping[str, int], folder: Path, unknown: str | None) -> SpecialIds:
    """The special ids given in ``tokenizer_config.json`` or ``special_tokens_map.json`` next to the tokenizer, and
    otherwise those of tokens with the usual names.

    Args:
        vocabulary: all tokens, including added ones, with their ids.
        folder: folder of the tokenizer.
        unknown: the unknown token of the tokenizer's own model.

    Raises:
        InputError: no end token.
    """
    named = _named(folder)

    def first(roles: tuple[str, ...], usual: tuple[str, ...]) -> int | None:
        names = [*(named[role] for role in roles if role in named), *usual]
        return next((vocabulary[name] for name in names if name in vocabulary), None)

    end = first(("eos_token", "sep_token"), ENDS)
    if end is None:
        raise InputError(
            f"the tokenizer in {folder} has no token that ends a sequence",
            expected=f"eos_token or sep_token in tokenizer_config.json, or a token such as {', '.join(ENDS[:3])}",
            remedy="add one to the tokenizer, or train a tokenizer of your own",
        )
    found = first(("unk_token",), (*((unknown,) if unknown else ()), *UNKNOWNS))
    pad = first(("pad_token",), PADS)
    # Byte-level vocabularies use their end token as the unknown token, which never occurs, and often have no padding.
    return SpecialIds(
        end=end,
        unknown=None if found == end else found,
        pad=end if pad is None else pad,
        start=first(("bos_token", "cls_token"), STARTS),
    )


def _named(folder: Path) -> dict[str, str]:
    named: dict[str, str] = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        for role, token in _document(folder / file).items():
            text = token.get("content") if isinstance(token, dict) else token
            if role.endswith("_token") and isinstance(text, str):
                named[role] = text
    return named


MOST_BYTES = 1 << 24
"""Maximum bytes of a file next to a tokenizer."""


def _document(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        document = json.loads(read_limited(path, MOST_BYTES, "a JSON document").decode("utf-8"))
    except (ValueError, OSError, RecursionError):
        raise InputError(f"{path} is not a JSON document", expected="what belongs to the tokenizer") from None
    return document if isinstance(document, dict) else {}
