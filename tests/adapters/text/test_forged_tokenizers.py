"""Tokenizers that do not fit what reads them: typed errors, wherever they show."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from isthmus.errors import InputError
from isthmus_text.encode import check_ids
from isthmus_text.texts import Texts
from isthmus_text.tokens.tokenizer import Tokenizer


def test_a_tokenizer_without_its_unknown_token_is_a_typed_error() -> None:
    trained = Tokenizer.train(Texts.of(["a cat sits", "a dog sits"]), "word")
    document = json.loads(trained.to_json())
    assert document["model"]["vocab"].pop(document["model"]["unk_token"]) is not None
    document["added_tokens"] = [one for one in document["added_tokens"] if one["content"] != "<unk>"]
    with pytest.raises(InputError):
        Tokenizer.from_json(json.dumps(document), trained.facts()).encode(["a bird"])


def test_tokens_without_a_vector_are_a_typed_error() -> None:
    encoder: Any = SimpleNamespace(words=lambda: torch.zeros(5, 2))
    check_ids(encoder, [[1, 4], [2]])
    with pytest.raises(InputError, match="token 7 for an encoder of 5 tokens"):
        check_ids(encoder, [[1, 7], [2]])
