from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
    TripletEvaluator,
)
from sentence_transformers.util import community_detection, paraphrase_mining, semantic_search
from tiny_bert import TEXTS, WordCounts, bert, save_tokenizer

from isthmus.errors import SettingError, ValueRangeError
from isthmus_text.integrations.sentence_transformers import SentenceModel
from isthmus_text.integrations.sentence_transformers_export import to_sentence_transformers

CORPUS = ["a red cat on a mat", "trains leave at noon", "the dog ran home", "rain falls in spring"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    place = tmp_path_factory.mktemp("sentence")
    folder = to_sentence_transformers(
        place / "out", bert(), save_tokenizer(place / "words"), max_length=16, normalise=False
    )
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def ours(original: SentenceTransformer) -> SentenceModel:
    return SentenceModel(original)


def test_encode_answers_as_the_original(original: SentenceTransformer, ours: SentenceModel) -> None:
    for sentences in [TEXTS, tuple(TEXTS), TEXTS[0], np.array(TEXTS), []]:
        for settings in [
            {},
            {"convert_to_tensor": True},
            {"convert_to_numpy": False},
            {"normalize_embeddings": True},
            {"truncate_dim": 5, "normalize_embeddings": True},
            {"prompt": "red "},
            {"batch_size": 2, "show_progress_bar": False, "precision": "float32", "prompt_name": None, "device": None},
            {"output_value": "sentence_embedding"},
        ]:
            expected, answer = original.encode(sentences, **settings), ours.encode(sentences, **settings)
            assert type(answer) is type(expected)
            assert len(answer) == len(expected)
            if isinstance(expected, list):
                assert all(type(vector) is torch.Tensor for vector in answer)
                expected, answer = torch.stack(expected or [torch.zeros(0)]), torch.stack(answer or [torch.zeros(0)])
            assert answer.shape == expected.shape
            np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_queries_and_documents_are_encoded_alike(ours: SentenceModel) -> None:
    plain = ours.encode(TEXTS)
    np.testing.assert_array_equal(ours.encode_query(TEXTS), plain)
    np.testing.assert_array_equal(ours.encode_document(TEXTS, batch_size=1), plain)


def test_similarity_answers_as_the_original(original: SentenceTransformer) -> None:
    for name in ["cosine", "dot", "euclidean", "manhattan"]:
        ours = SentenceModel(original, similarity_fn_name=name)
        original.similarity_fn_name = name
        a, b = original.encode(TEXTS), original.encode(TEXTS[::-1])
        for left, right in ((a, b), (torch.tensor(a), torch.tensor(b)), (list(a), list(b)), (a[0], b[0])):
            torch.testing.assert_close(
                ours.similarity(left, right), original.similarity(left, right), atol=1e-5, rtol=1e-5
            )
        torch.testing.assert_close(
            ours.similarity_pairwise(a, b), original.similarity_pairwise(a, b), atol=1e-5, rtol=1e-5
        )
        original.similarity_fn_name = "cosine"


def test_the_width(ours: SentenceModel) -> None:
    counts = WordCounts(12)
    model = SentenceModel(counts)
    assert model.get_embedding_dimension() == model.get_sentence_embedding_dimension() == 12
    assert counts.calls == [1], "asked once"
    assert ours.get_embedding_dimension() == 16
    assert model.device == torch.device("cpu")


def test_the_encoder_gets_all_texts_at_once() -> None:
    counts = WordCounts()
    SentenceModel(counts).encode(CORPUS * 20, batch_size=2)
    assert counts.calls == [80], "it forms batches by length itself"


def test_a_similarity_evaluator() -> None:
    model = SentenceModel(WordCounts())
    others = ["a cat on a mat", "the dog ran away", "the dog ran home", "rain stays in spain"]
    labels = [0.9, 0.2, 0.7, 0.1]
    figures = EmbeddingSimilarityEvaluator(CORPUS, others, labels, name="mine")(model)  # type: ignore[arg-type]
    a, b = WordCounts().encode(CORPUS), WordCounts().encode(others)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert figures["mine_spearman_cosine"] == pytest.approx(spearmanr(labels, cosines).statistic)
    assert model.model_card_data.metrics == figures


def test_a_retrieval_evaluator_finds_what_is_planted() -> None:
    corpus = {str(row): text for row, text in enumerate(CORPUS)}
    queries = {"q": "cat on mat", "r": "spring rain"}
    evaluator = InformationRetrievalEvaluator(queries, corpus, {"q": {"0"}, "r": {"3"}}, write_csv=False)
    figures = evaluator(SentenceModel(WordCounts(256)))  # type: ignore[arg-type]
    assert figures["cosine_accuracy@1"] == 1.0
    wrong = InformationRetrievalEvaluator(queries, corpus, {"q": {"1"}, "r": {"1"}}, write_csv=False)
    assert wrong(SentenceModel(WordCounts(256)))["cosine_accuracy@1"] == 0.0  # type: ignore[arg-type]


def test_a_triplet_evaluator() -> None:
    evaluator = TripletEvaluator(["red cat", "noon"], CORPUS[:2], CORPUS[2:])
    assert evaluator(SentenceModel(WordCounts(256)))["cosine_accuracy"] == 1.0  # type: ignore[arg-type]


def test_utilities_take_its_vectors_and_itself() -> None:
    model = SentenceModel(WordCounts(256))
    vectors = model.encode(CORPUS, convert_to_tensor=True)
    ((hit,),) = semantic_search(model.encode("spring rain", convert_to_tensor=True), vectors, top_k=1)
    assert hit["corpus_id"] == 3
    twice = model.encode(CORPUS + [f"{text} today" for text in CORPUS], convert_to_tensor=True)
    communities = community_detection(twice, threshold=0.8, min_community_size=2)
    assert sorted(map(sorted, communities)) == [[row, row + 4] for row in range(4)]
    pairs = paraphrase_mining(model, [*CORPUS, "a red cat on the mat"])  # type: ignore[arg-type]
    assert pairs[0][1:] == [0, 4]


def test_what_it_cannot_follow_is_refused() -> None:
    for settings, message in [
        ({"precison": "int8"}, "no keyword 'precison'"),
        ({"precision": "int8"}, "precision='int8'; expected None or 'float32'"),
        ({"prompt_name": "query"}, "prompt_name='query'"),
        ({"output_value": "token_embeddings"}, "output_value='token_embeddings'"),
        ({"device": "cuda"}, "device='cuda'"),
        ({"pool": {}}, "pool={}"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"truncate_dim": 0}, "truncate_dim 0"),
    ]:
        with pytest.raises(SettingError, match=message):
            SentenceModel(WordCounts()).encode(["a"], **settings)


def test_a_text_that_is_none() -> None:
    with pytest.raises(ValueRangeError, match="text 1"):
        SentenceModel(WordCounts()).encode(np.array(["a", float("nan")], dtype=object))


class Fixed:
    def __init__(self, answer: np.ndarray) -> None:
        self.answer = answer

    def encode(self, texts: list[str], /) -> np.ndarray:
        return self.answer


def test_an_encoder_that_returns_another_number_of_vectors() -> None:
    for shape in [(3, 4), (2,)]:
        with pytest.raises(ValueRangeError, match="2 texts"):
            SentenceModel(Fixed(np.ones(shape, np.float32))).encode(["a", "b"])


def test_an_encoder_that_returns_nan_is_told_the_text() -> None:
    answer = np.array([[1, 2], [np.nan, 1]], np.float32)
    with pytest.raises(ValueRangeError, match="text 1"):
        SentenceModel(Fixed(answer)).encode(["a", "b"])


def test_results_are_the_callers_own(tmp_path: Path) -> None:
    stored = np.memmap(tmp_path / "codes", np.float32, "w+", shape=(2, 3))
    stored[:] = 1
    stored.flush()
    read = np.memmap(tmp_path / "codes", np.float32, "r", shape=(2, 3))
    answer = SentenceModel(Fixed(read)).encode(["a", "b"])
    assert isinstance(answer, np.ndarray)
    answer += 1
    assert (read == 1).all()
    wide = SentenceModel(Fixed(np.ones((2, 3)))).encode(["a", "b"])
    assert isinstance(wide, np.ndarray)
    assert wide.dtype == np.float32


def test_an_unknown_similarity() -> None:
    made: Any = SentenceModel.__init__
    while hasattr(made, "__wrapped__"):
        made = made.__wrapped__
    with pytest.raises(SettingError, match="similarity_fn_name 'maxsim'"):
        made(SentenceModel.__new__(SentenceModel), WordCounts(), "maxsim")
