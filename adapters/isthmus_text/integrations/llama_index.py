"""An encoder as LlamaIndex's ``BaseEmbedding``, for its indexes, retrievers and pipelines."""

from __future__ import annotations

import asyncio
import hashlib
from typing import final

from isthmus.errors import MissingLibraryError
from isthmus_text.integrations.encoder import TextEncoder, vectors

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
except ImportError as error:
    raise MissingLibraryError(
        f"this interface needs the library 'llama_index.core', which cannot be imported ({error})",
        remedy="pip install llama-index-core",
    ) from error


@final
class LlamaIndexEmbedding(BaseEmbedding):
    """Embeddings for LlamaIndex; texts and queries are encoded in the same way. Asynchronous calls run in a thread.

    Args:
        encoder: computes the vectors.
        model_name: identifies the encoder in caches of LlamaIndex. By default it is derived from the encoder's vector
            of a fixed text, so different encoders have different names.
        embed_batch_size: number of texts that are passed to the encoder at once, 1 to 2048; it has its own batches.
    """

    _encoder: TextEncoder = PrivateAttr()

    def __init__(self, encoder: TextEncoder, *, model_name: str | None = None, embed_batch_size: int = 512) -> None:
        super().__init__(model_name=model_name or _fingerprint(encoder), embed_batch_size=embed_batch_size)
        self._encoder = encoder

    @classmethod
    def class_name(cls) -> str:
        """The name of this component in LlamaIndex."""
        return "IsthmusEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embeddings([query])[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        found: list[list[float]] = vectors(self._encoder, texts).tolist() if texts else []
        return found

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


def _fingerprint(encoder: TextEncoder) -> str:
    vector = vectors(encoder, ["The isthmus joins two seas."])[0]
    return f"isthmus-{len(vector)}-{hashlib.sha256(vector.tobytes()).hexdigest()[:12]}"
