from __future__ import annotations

import asyncio
import importlib
import sys

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from tiny_bert import WordCounts

from isthmus.errors import MissingLibraryError
from isthmus_text.integrations.langchain import LangChainEmbeddings

CORPUS = ["a red cat on a mat", "trains leave at noon", "the dog ran home", "rain falls in spring"]


def test_documents_and_queries() -> None:
    counts = WordCounts(8)
    embeddings = LangChainEmbeddings(counts)
    assert isinstance(embeddings, Embeddings)
    documents = embeddings.embed_documents(CORPUS)
    assert counts.calls == [4], "one call for all of them"
    assert type(documents[0][0]) is float
    np.testing.assert_array_equal(documents, WordCounts(8).encode(CORPUS))
    assert embeddings.embed_query(CORPUS[2]) == documents[2]
    assert embeddings.embed_documents([]) == []


def test_asynchronous_calls_answer_alike() -> None:
    embeddings = LangChainEmbeddings(WordCounts())
    assert asyncio.run(embeddings.aembed_documents(CORPUS)) == embeddings.embed_documents(CORPUS)
    assert asyncio.run(embeddings.aembed_query("noon")) == embeddings.embed_query("noon")


def test_a_vector_store_finds_what_is_planted() -> None:
    store = InMemoryVectorStore(LangChainEmbeddings(WordCounts(256)))
    store.add_texts(CORPUS)
    ((found, score),) = store.similarity_search_with_score("spring rain", k=1)
    assert found.page_content == CORPUS[3]
    assert score == pytest.approx(2 / np.sqrt(2 * 4))
    retriever = store.as_retriever(search_kwargs={"k": 1})
    assert [document.page_content for document in retriever.invoke("cat and mat")] == [CORPUS[0]]


def test_without_langchain_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "isthmus_text.integrations.langchain")
    monkeypatch.setitem(sys.modules, "langchain_core.embeddings", None)
    with pytest.raises(MissingLibraryError, match="pip install langchain-core"):
        importlib.import_module("isthmus_text.integrations.langchain")
