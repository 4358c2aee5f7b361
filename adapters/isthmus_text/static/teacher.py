"""The teacher of static embeddings: a frozen encoder, its vectors of texts, and those of its single tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from isthmus.batch import Batch, TokenRows
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.encoders.pretrained import PretrainedEncoder
from isthmus.protocols import Source
from isthmus.reprs import brief
from isthmus_text.pretrained.cached_vectors import vectors_of


@brief
@dataclass(frozen=True, eq=False)
class Teacher:
    """A frozen encoder, which is not saved with its student.

    Attributes:
        encoder: the encoder.
        end: id of the token that ends every row.
        special: ids that are no text: start, end, padding, unused ones.
    """

    encoder: PretrainedEncoder
    end: int
    special: tuple[int, ...]

    @property
    def vocabulary(self) -> int:
        """The number of tokens that the encoder has vectors for."""
        return len(self.encoder.words())

    def vectors(self, source: Source, device: torch.device) -> Float[Tensor, "rows width"]:
        """The vector of each row, normalised to length 1, on the CPU.

        Args:
            source: rows of tokens.
            device: where they are computed.
        """
        self.encoder.to(device)
        return F.normalize(vectors_of(self.encoder, source), dim=1)

    def token_vectors(self, vocabulary: int, device: torch.device) -> Float[Tensor, "vocabulary width"]:
        """The vector of each token as a text of its own, minus the mean of them; 0 for special tokens.

        Their lengths are kept: they are shorter for tokens that mean little alone.
        """
        ids = torch.arange(vocabulary)
        found = vectors_of(self._as_long_as_they_are().to(device), SingleTokens(ids, self.end))
        text = ~torch.isin(ids, torch.tensor(self.special))
        return (found - found[text].mean(0)) * text[:, None]

    def _as_long_as_they_are(self) -> PretrainedEncoder:
        """The same network without normalisation."""
        own = self.encoder
        return PretrainedEncoder(
            own.backbone,
            own.width,
            start=own.start,
            max_length=own.max_length,
            pooling=own.pooling,
            normalise=False,
        )


def teacher_of(model: Autoencoder) -> Teacher | None:
    """What a model is trained towards; None for a finished one, and for models without a teacher."""
    found: Teacher | None = getattr(model.encoder, "teacher", None)
    return found


def frequency_weights(vocabulary: int, a: float) -> Float[Tensor, " vocabulary"]:
    """Smooth inverse frequencies, a / (a + p) (Arora, Liang & Ma, ICLR 2017), with p by Zipf's law.

    Vocabularies are sorted by frequency, at least roughly, so that the id of a token stands for its rank: p is
    proportional to 1 / (id + 2), as in model2vec (Tulkens & van Dongen, Minish Lab, 2024).

    Args:
        vocabulary: number of token ids.
        a: smoothing; the smaller, the less frequent tokens count. 0 weights all tokens equally.
    """
    if not a:
        return torch.ones(vocabulary)
    p = 1 / torch.arange(2, vocabulary + 2, dtype=torch.float64)
    return (a / (a + p / p.sum())).float()


def basis_of(vectors: Float[Tensor, "rows width"], code: int) -> Float[Tensor, "width code"]:
    """The ``code`` orthonormal directions that keep most of the squares of these vectors: principal components about
    the origin, so that inner products and with them cosines are kept.

    Args:
        vectors: vectors of the teacher.
        code: number of directions, at most ``width``.
    """
    wide = vectors.double()
    directions: Tensor = torch.linalg.eigh(wide.T @ wide).eigenvectors
    return directions.flip(1)[:, :code].float()


@dataclass(frozen=True, eq=False)
class SingleTokens:
    """Each token as a row: the token and the end."""

    ids: Int64[Tensor, " tokens"]
    end: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """2 for each row, on the CPU."""
        return torch.full((len(self),), 2)

    def to(self, device: torch.device) -> SingleTokens:
        """The same rows, with batches on another device."""
        return SingleTokens(self.ids, self.end, device)

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order."""
        ids = self.ids[rows.cpu()]
        pairs = torch.stack([ids, torch.full_like(ids, self.end)], 1).to(self.device)
        tokens = TokenRows(pairs, torch.ones_like(pairs, dtype=torch.bool))
        return Batch(rows, tokens, tokens)
