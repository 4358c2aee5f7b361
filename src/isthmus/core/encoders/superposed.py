"""An encoder of tokens into one vector, the sum of the token vectors after a linear map for each position."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors
from isthmus.core.ops.attention import check_length
from isthmus.core.ops.layers import uniform
from isthmus.core.ops.places import places
from isthmus.core.ops.token_embeddings import BOUND, real_positions, token_rows, widened


class SuperposedEncoder(nn.Module):
    """``enter``: weighted token vectors [batch, steps, embedding]; ``trunk``: their sum, each multiplied by the matrix
    of its position.

        z = Σ_t P_tᵀ a(w_t) e(w_t)

    Sums of vectors bound to their roles are due to Plate, "Holographic Reduced Representations", IEEE Transactions on
    Neural Networks 6(3), 1995; binding by matrices to Gallant & Okaywe, "Representing Objects, Relations, and
    Sequences", Neural Computation 25(8), 2013. Their matrices are random and fixed; here they are initialised at random
    and trained, as are the vectors e and the weight a of each token.

    Args:
        vocabulary: number of token ids.
        embedding: width of the token vectors.
        length: maximum length of a row; each position has a matrix.
        code: width of the sum.
        shared: number of dimensions with the same initial map for all positions. They represent which tokens occur in
            any order, so that a text and the same text shifted by one word are near each other.

    Attributes:
        width: width of the sum, ``code``.

    Raises:
        SettingError: ``shared`` outside 0 to ``code``.
    """

    def __init__(
        self, vocabulary: int, embedding: int, length: int, code: int, *, generator: Generator, shared: int = 0
    ) -> None:
        super().__init__()
        self.table = uniform(vocabulary, embedding, bound=BOUND, generator=generator)
        self.places = places(length, embedding, code, generator=generator, shared=shared)
        self.log_weights = nn.Parameter(torch.zeros(vocabulary))
        self.width = code

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch steps embedding"]:
        """The vector of each token times its weight, without its position.

        Raises:
            SettingError: inputs that are not tokens.
        """
        ids = token_rows(inputs).ids
        return nn.functional.embedding(ids, self.table) * self.log_weights[ids].exp()[..., None]

    def token_vectors(self) -> Float[Tensor, "vocabulary embedding"]:
        """A vector for each token, whatever its position."""
        return self.table

    def trunk(
        self, entered: Float[Tensor, "batch steps embedding"], inputs: Tensors | None
    ) -> Float[Tensor, "batch width"]:
        """The sum over all tokens, fp32 at least; without ``inputs`` every position counts.

        Raises:
            ValueRangeError: a row that is longer than ``length``, without tokens, or with padding before a token.
        """
        steps = entered.shape[1]
        check_length(steps, len(self.places))
        mask, _ = real_positions(entered, inputs)
        held = (entered * mask[..., None]).flatten(1)
        return widened(held @ self.places[:steps].flatten(0, 1))
