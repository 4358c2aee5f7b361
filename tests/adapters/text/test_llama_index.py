from __future__ import annotations

import asyncio
import importlib
import sys

import numpy as np
import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode
from tiny_bert import WordCounts

from isthmus.errors import MissingLibraryError
from isthmus_text.integrations.llama_index import LlamaIndexEmbedding

CORPUS = ["a red cat on a mat", "trains leave at noon", "the dog ran home", "rain falls in spring"]


def nodes() -> list[TextNode]:
    return [TextNode(text=text) for text in CORPUS]


def test_a_retriever_finds_what_is_planted() -> None:
    index = VectorStoreIndex(nodes(), embed_model=LlamaIndexEmbedding(WordCounts(256)))
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("spring rain")
    assert found.node.get_content() == CORPUS[3]
    assert found.score == pytest.approx(2 / np.sqrt(2 * 4))


def test_a_pipeline_embeds_each_node_in_one_call() -> None:
    counts = WordCounts(8)
    embedding = LlamaIndexEmbedding(counts)
    counts.calls.clear()
    done = IngestionPipeline(transformations=[embedding]).run(nodes=nodes())
    assert counts.calls == [4]
    np.testing.assert_array_equal([node.embedding for node in done], WordCounts(8).encode(CORPUS))


def test_asynchronous_calls_answer_alike() -> None:
    embedding = LlamaIndexEmbedding(WordCounts(8), embed_batch_size=3)
    expected = embedding.get_text_embedding_batch(CORPUS)
    np.testing.assert_array_equal(expected, WordCounts(8).encode(CORPUS))
    assert asyncio.run(embedding.aget_text_embedding_batch(CORPUS)) == expected
    assert asyncio.run(embedding.aget_text_embedding("noon")) == embedding.get_text_embedding("noon")
    assert asyncio.run(embedding.aget_query_embedding("noon")) == embedding.get_query_embedding("noon")
    assert embedding.get_text_embedding_batch([]) == []


def test_caches_tell_encoders_apart() -> None:
    narrow, wide = LlamaIndexEmbedding(WordCounts(8)), LlamaIndexEmbedding(WordCounts(16))
    assert narrow.model_name != wide.model_name
    assert narrow.model_name == LlamaIndexEmbedding(WordCounts(8)).model_name
    pipeline = IngestionPipeline(transformations=[narrow])
    fixed = [TextNode(text="noon", id_="1")]
    assert len(pipeline.run(nodes=fixed)[0].embedding or []) == 8
    pipeline.transformations = [wide]
    assert len(pipeline.run(nodes=fixed)[0].embedding or []) == 16
    assert LlamaIndexEmbedding(WordCounts(8), model_name="mine").to_dict()["model_name"] == "mine"


def test_without_llama_index_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "isthmus_text.integrations.llama_index")
    monkeypatch.setitem(sys.modules, "llama_index.core.base.embeddings.base", None)
    with pytest.raises(MissingLibraryError, match="pip install llama-index-core"):
        importlib.import_module("isthmus_text.integrations.llama_index")
