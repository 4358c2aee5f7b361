"""The start of a decoder of vectors: which tokens occur in a text, by linear regression on its vector."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from isthmus.batch import Values, require_tokens
from isthmus.core.decoders.memory import MemoryDecoder
from isthmus.core.readouts import LinearReadout
from isthmus.protocols import Source
from isthmus.sources import even_rows

ROWS = 4096
MOST_TUNED = 500
RIDGE = 1e-3
"""Added to the mean squares of the vectors, which are 1 / width for vectors of length 1."""

FEWEST = 5.0
"""Tokens of fewer texts count as if they were in so many."""

SHARPNESS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


@torch.no_grad()
def start_linear(decoder: MemoryDecoder, readout: LinearReadout, source: Source) -> None:
    """Set the readout and the first layer of the decoder so that the untrained decoder predicts, at every position, the
    tokens that vectors like this one have in their texts.

    The presence y_v of token v is regressed on the vector z (ridge regression); with p_v, the share of texts that have
    the token, the logit is

        log f_v + s (E[y_v | z] − p_v) / √p_v

    where f_v is the frequency of the token, and s minimises the cross-entropy of some texts. Its matrix is cut to the
    width of the decoder by singular values. This takes seconds, and a decoder need not learn from nothing which words
    its vector stands for.

    Args:
        decoder: changed in place.
        readout: changed in place.
        source: pairs of vectors and tokens.
    """
    texts, counts, squares, means, products = _sums(source, readout.weight.shape[0])
    present = products.present.clamp(min=FEWEST) / texts
    mean = means / texts
    spread = squares / texts - torch.outer(mean, mean)
    shared = products.with_vectors / texts - torch.outer(mean, products.present / texts)
    spread.diagonal().add_(RIDGE / len(mean))
    slopes = torch.linalg.solve(spread, shared) / present.sqrt()
    left, values, right = torch.linalg.svd(slopes.float(), full_matrices=False)
    width = min(readout.weight.shape[1], len(values))
    first = _first_layer(decoder)
    first.weight[:width] = left[:, :width].T
    first.weight[width:] = 0
    first.bias[:width] = -decoder.scale * (mean.float() @ left[:, :width])
    readout.weight.zero_()
    readout.weight[:, :width] = (values[:width, None] * right[:width]).T
    readout.bias.copy_(((counts + 1) / (counts + 1).sum()).log())
    _sharpen(decoder, readout, source)


def _first_layer(decoder: MemoryDecoder) -> nn.Linear:
    """The layer that adds the vector to the inputs of the first block."""
    layer = decoder.pushes[0]
    assert isinstance(layer, nn.Linear)
    return layer


class _Products:
    """Sums over texts of the presence of tokens, and of vectors times presence."""

    def __init__(self, width: int, vocabulary: int) -> None:
        self.present = torch.zeros(vocabulary, dtype=torch.float64)
        self.with_vectors = torch.zeros(width, vocabulary, dtype=torch.float64)


def _sums(source: Source, vocabulary: int) -> tuple[int, Tensor, Tensor, Tensor, _Products]:
    there = source.to(torch.device("cpu"))
    counts = torch.zeros(vocabulary, dtype=torch.float64)
    squares: Float64[Tensor, "width width"] | None = None
    for rows in torch.arange(len(source)).split(ROWS):
        vectors, ids, mask = _pairs(there, rows)
        if squares is None:
            width = vectors.shape[1]
            squares, mean = torch.zeros(width, width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
            products = _Products(width, vocabulary)
        where = mask.nonzero()[:, 0] * vocabulary + ids[mask]
        counts += torch.bincount(ids[mask], minlength=vocabulary)
        distinct = where.unique()
        row, token = distinct // vocabulary, distinct % vocabulary
        products.present += torch.bincount(token, minlength=vocabulary)
        products.with_vectors += torch.zeros(vocabulary, width).index_add_(0, token, vectors[row]).T
        squares += (vectors.T @ vectors).double()
        mean += vectors.double().sum(0)
    assert squares is not None, "a source has rows"
    return len(source), counts, squares, mean, products


def _pairs(source: Source, rows: Tensor) -> tuple[Float[Tensor, "rows width"], Tensor, Tensor]:
    batch = source.batch(rows)
    assert isinstance(batch.inputs, Values)
    tokens = require_tokens(batch.targets, "the start of a decoder")
    return batch.inputs.values.float(), tokens.ids, tokens.mask


def _sharpen(decoder: MemoryDecoder, readout: LinearReadout, source: Source) -> None:
    """Scale the readout: the normalised state of the decoder is the first layer's alone, in its direction."""
    rows = even_rows(len(source), MOST_TUNED)
    device = readout.weight.device
    vectors, ids, mask = (one.to(device) for one in _pairs(source.to(torch.device("cpu")), rows))
    state = torch.nn.functional.layer_norm(_first_layer(decoder)(decoder.scale * vectors), (readout.weight.shape[1],))
    logits = state @ readout.weight.T
    logits /= logits.std().clamp(min=1e-12)
    size = (state @ readout.weight.T).std().clamp(min=1e-12)

    def loss(sharpness: float) -> float:
        said = (sharpness * logits + readout.bias).log_softmax(1).gather(1, ids)
        return -float((said * mask).sum() / mask.sum())

    best = min(SHARPNESS, key=loss)
    readout.weight.mul_(best / size)
