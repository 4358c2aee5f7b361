"""An encoder with the interface of a model of ``sentence_transformers``, without importing that library.

Its evaluators, utilities and other code that calls ``encode`` and ``similarity`` accept a ``SentenceModel``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, final, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn.functional import normalize

from isthmus.errors import SettingError, ValueRangeError
from isthmus_text.integrations.encoder import TextEncoder, vectors

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Embeddings = Tensor | np.ndarray | Sequence[Tensor] | Sequence[np.ndarray]

_INERT: Mapping[str, tuple[object, ...]] = {
    "prompt_name": (None,),
    "output_value": ("sentence_embedding",),
    "precision": (None, "float32"),
    "device": (None,),
    "pool": (None,),
    "chunk_size": (None,),
    "task": (None, "query", "document"),
}
"""Keywords that callers pass, and the values that have no effect here."""


@final
class EvaluationLog:
    """Receives the results of evaluators of ``sentence_transformers``; ``metrics`` contains the last value of each."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}

    def set_evaluation_metrics(
        self, evaluator: object, metrics: Mapping[str, float], epoch: int = 0, step: int = 0
    ) -> None:
        """Called by an evaluator when it has finished.

        Args:
            evaluator: not used.
            metrics: its results by name.
            epoch: not used.
            step: not used.
        """
        self.metrics.update(metrics)


@final
class SentenceModel:
    """An encoder with the methods of ``sentence_transformers.SentenceTransformer``.

    Args:
        encoder: computes the vectors, in its own batches.
        similarity_fn_name: measure of ``similarity``; higher is nearer (distances are negated).

    Raises:
        SettingError: no such similarity.
    """

    def __init__(self, encoder: TextEncoder, similarity_fn_name: Similarity = "cosine") -> None:
        if similarity_fn_name not in get_args(Similarity):
            raise SettingError(
                f"similarity_fn_name {similarity_fn_name!r}", expected=f"one of: {', '.join(get_args(Similarity))}"
            )
        self.similarity_fn_name = similarity_fn_name
        self.model_card_data = EvaluationLog()
        self._encoder = encoder
        self._width: int | None = None

    @property
    def device(self) -> torch.device:
        """The device of the results: always the CPU."""
        return torch.device("cpu")

    def encode(
        self,
        sentences: str | Sequence[str] | np.ndarray,
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        prompt: str | None = None,
        **others: object,
    ) -> np.ndarray | Tensor | list[Tensor]:
        """Vectors of texts, in order.

        Args:
            sentences: one text, or several.
            batch_size: has no effect, because the encoder has its own batches; must be positive.
            show_progress_bar: has no effect.
            convert_to_numpy: return one array.
            convert_to_tensor: return one tensor instead; without both, a list of tensors.
            normalize_embeddings: normalise each vector to length 1.
            truncate_dim: keep only that many leading values, before normalisation.
            prompt: prefix of each text.
            others: further keywords of ``sentence_transformers``, accepted with values that have no effect.

        Returns:
            float32: [rows width]; [width] for a single text; of length 0 for no texts.

        Raises:
            SettingError: an unknown keyword, or a value that is not supported.
            ValueRangeError: a text that is not a string, or an invalid result of the encoder.
        """
        _check(batch_size, truncate_dim, others)
        texts = _texts(sentences, prompt or "")
        found = torch.zeros(0)
        if texts:
            found = torch.tensor(vectors(self._encoder, texts)[:, :truncate_dim])
        if normalize_embeddings and texts:
            found = normalize(found, dim=1)
        if isinstance(sentences, str):
            return found[0].numpy() if convert_to_numpy and not convert_to_tensor else found[0]
        if convert_to_tensor:
            return found
        return found.numpy() if convert_to_numpy else list(found)

    def encode_query(
        self, sentences: str | Sequence[str] | np.ndarray, **settings: Any
    ) -> np.ndarray | Tensor | list[Tensor]:
        """The same as ``encode``: queries and documents are encoded in the same way."""
        return self.encode(sentences, **settings)

    def encode_document(
        self, sentences: str | Sequence[str] | np.ndarray, **settings: Any
    ) -> np.ndarray | Tensor | list[Tensor]:
        """The same as ``encode``: queries and documents are encoded in the same way."""
        return self.encode(sentences, **settings)

    def similarity(self, embeddings1: Embeddings, embeddings2: Embeddings) -> Float32[Tensor, "rows targets"]:
        """The similarity of each vector of the first argument to each of the second; higher is nearer."""
        a, b = _rows(embeddings1), _rows(embeddings2)
        if self.similarity_fn_name == "cosine":
            return normalize(a, dim=1) @ normalize(b, dim=1).T
        if self.similarity_fn_name == "dot":
            return a @ b.T
        # The faster formula loses precision for nearly equal vectors.
        exact = "donot_use_mm_for_euclid_dist"
        order = 2 if self.similarity_fn_name == "euclidean" else 1
        nearness: Tensor = -torch.cdist(a, b, p=order, compute_mode=exact)
        return nearness

    def similarity_pairwise(self, embeddings1: Embeddings, embeddings2: Embeddings) -> Float32[Tensor, " rows"]:
        """The similarity of the vectors in the same row of both arguments; higher is nearer."""
        a, b = _rows(embeddings1), _rows(embeddings2)
        if self.similarity_fn_name == "cosine":
            return (normalize(a, dim=1) * normalize(b, dim=1)).sum(dim=1)
        if self.similarity_fn_name == "dot":
            return (a * b).sum(dim=1)
        order = 2 if self.similarity_fn_name == "euclidean" else 1
        nearness: Tensor = -torch.linalg.vector_norm(a - b, ord=order, dim=1)
        return nearness

    def get_embedding_dimension(self) -> int:
        """The width of the vectors, determined by encoding one short text on the first call."""
        if self._width is None:
            self._width = vectors(self._encoder, ["width"]).shape[1]
        return self._width

    def get_sentence_embedding_dimension(self) -> int:
        """The older name of ``get_embedding_dimension``."""
        return self.get_embedding_dimension()


def _check(batch_size: int, truncate_dim: int | None, others: Mapping[str, object]) -> None:
    for name, number in (("batch_size", batch_size), ("truncate_dim", truncate_dim)):
        if number is not None and number < 1:
            raise SettingError(f"{name} {number}", expected="a positive number")
    for name, value in others.items():
        if name not in _INERT:
            raise SettingError(f"encode has no keyword {name!r}", remedy="leave it out")
        if not any(value is allowed or value == allowed for allowed in _INERT[name]):
            shown = " or ".join(repr(allowed) for allowed in _INERT[name])
            raise SettingError(f"{name}={value!r}", expected=shown, remedy="leave it out")


def _texts(sentences: str | Sequence[str] | np.ndarray, prompt: str) -> list[str]:
    texts = [sentences] if isinstance(sentences, str) else list(sentences)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueRangeError(f"text {row} is a {type(text).__name__}", expected="strings")
    return [prompt + text for text in texts]


def _rows(embeddings: Embeddings) -> Float[Tensor, "rows width"]:
    if isinstance(embeddings, Tensor | np.ndarray):
        found = torch.as_tensor(embeddings).float()
        return found[None] if found.ndim == 1 else found
    return torch.stack([torch.as_tensor(vector).float() for vector in embeddings])
