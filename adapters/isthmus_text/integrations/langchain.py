"""An encoder as LangChain's ``Embeddings``, for its vector stores and retrievers."""

from __future__ import annotations

from typing import final

from isthmus.errors import MissingLibraryError
from isthmus_text.integrations.encoder import TextEncoder, vectors

try:
    from langchain_core.embeddings import Embeddings
except ImportError as error:
    raise MissingLibraryError(
        f"this interface needs the library 'langchain_core', which cannot be imported ({error})",
        remedy="pip install langchain-core",
    ) from error


@final
class LangChainEmbeddings(Embeddings):
    """Embeddings for LangChain; documents and queries are encoded in the same way. Asynchronous calls run in
    LangChain's executor.

    Args:
        encoder: computes the vectors.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector for each document, in order.

        Raises:
            ValueRangeError: an invalid result of the encoder.
        """
        found: list[list[float]] = vectors(self._encoder, texts).tolist() if texts else []
        return found

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query.

        Raises:
            ValueRangeError: an invalid result of the encoder.
        """
        return self.embed_documents([text])[0]
