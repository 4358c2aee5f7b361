"""A BERT of a few thousand random weights with a tokenizer of a dozen words, and an encoder that counts words."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import BertProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [*SPECIAL, "a", "the", "cat", "dog", "sat", "ran", "on", "in", "mat", "sun", "red", "big"]
TEXTS = ["the cat sat on the mat", "a dog ran", "", "big red sun in the big red mat on a dog", "who knows"]
POSITIONS = 24


class WordCounts:
    """Words hashed into a few counts: texts that share words are near."""

    def __init__(self, width: int = 32) -> None:
        self.width = width
        self.calls: list[int] = []

    def encode(self, texts: list[str], /) -> np.ndarray:
        self.calls.append(len(texts))
        found = np.zeros((len(texts), self.width), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                found[row, zlib.crc32(word.encode()) % self.width] += 1
        return found


def save_tokenizer(folder: Path) -> Path:
    words = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = BertProcessing(("[SEP]", WORDS.index("[SEP]")), ("[CLS]", WORDS.index("[CLS]")))
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    return folder


def config() -> BertConfig:
    return BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=POSITIONS,
        pad_token_id=0,
    )


def tuned(model: torch.nn.Module, seed: int = 0) -> None:
    """Move every weight, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)


def bert(seed: int = 0) -> BertModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config())
    tuned(model, seed)
    return model
