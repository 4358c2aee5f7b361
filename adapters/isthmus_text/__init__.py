"""Texts as rows of tokens: files, tokenizers and sequence autoencoders.

::

    from isthmus_text import TextAutoencoder

    model = TextAutoencoder.fit("sentences.txt")
    codes = model.encode(["a sentence"])
    model.decode(codes), model.search(["another one"]), model.sample(5)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus_text.adapter import TextAdapter
    from isthmus_text.autoencoder import TextAutoencoder
    from isthmus_text.datasets import demo_sentences
    from isthmus_text.evaluate import TextEvaluation
    from isthmus_text.input_output import InputOutput, pretrained_vectors
    from isthmus_text.integrations.langchain import LangChainEmbeddings
    from isthmus_text.integrations.llama_index import LlamaIndexEmbedding
    from isthmus_text.integrations.sentence_transformers import SentenceModel
    from isthmus_text.integrations.sentence_transformers_export import to_sentence_transformers
    from isthmus_text.static.export import to_static_embedding
    from isthmus_text.texts import Texts
    from isthmus_text.tokens.tokenizer import Tokenizer

__all__ = [
    "InputOutput",
    "LangChainEmbeddings",
    "LlamaIndexEmbedding",
    "SentenceModel",
    "TextAdapter",
    "TextAutoencoder",
    "TextEvaluation",
    "Texts",
    "Tokenizer",
    "demo_sentences",
    "pretrained_vectors",
    "to_sentence_transformers",
    "to_static_embedding",
]

_MODULES = {
    "InputOutput": "input_output",
    "LangChainEmbeddings": "integrations.langchain",
    "LlamaIndexEmbedding": "integrations.llama_index",
    "SentenceModel": "integrations.sentence_transformers",
    "TextAdapter": "adapter",
    "TextAutoencoder": "autoencoder",
    "TextEvaluation": "evaluate",
    "Texts": "texts",
    "Tokenizer": "tokens.tokenizer",
    "demo_sentences": "datasets",
    "pretrained_vectors": "input_output",
    "to_sentence_transformers": "integrations.sentence_transformers_export",
    "to_static_embedding": "static.export",
}


def __getattr__(name: str) -> Any:
    # The attributes are imported on first use, so that importing the package does not import torch or tokenizers.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
