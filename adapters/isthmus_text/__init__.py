"""Texts: files and lists as token rows, tokenizers of their own, sequence autoencoders over them.

from isthmus_text import TextAutoencoder

model = TextAutoencoder.fit("sentences.txt")
codes = model.encode(["a sentence"])
model.decode(codes), model.search("another one"), model.sample(5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus_text.adapter import TextAdapter
    from isthmus_text.autoencoder import TextAutoencoder
    from isthmus_text.texts import Texts
    from isthmus_text.tokens.tokenizer import Tokenizer

__all__ = ["TextAdapter", "TextAutoencoder", "Texts", "Tokenizer"]

_HOMES = {
    "TextAdapter": "adapter",
    "TextAutoencoder": "autoencoder",
    "Texts": "texts",
    "Tokenizer": "tokens.tokenizer",
}


def __getattr__(name: str) -> Any:
    # Torch and tokenizers are imported on first use, not when the package is.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
