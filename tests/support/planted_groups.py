"""Rows of four groups in every signal, and models small enough to learn them in a few dozen steps.

The answer is known: whatever the parts, what is read back from the code of a clean row is nearest to its own group.
"""

from __future__ import annotations

import torch

from isthmus.batch import Bags, Batch, TokenRows, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.decoders import ConvDecoder, DenseDecoder, LstmDecoder
from isthmus.core.encoders import BagEncoder, ConvEncoder, DenseEncoder, LstmEncoder
from isthmus.core.readouts import GridReadout, LinearReadout

GROUPS, ITEMS, EDGE, WORDS = 4, 3, 8, 10
WIDTH = GROUPS * ITEMS
HIDDEN = 16
CODE = 12


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def groups_of(rows):
    return torch.arange(rows) % GROUPS


def prototypes(signal):
    """What each group looks like: values between black and white, token ids, or the chances of items."""
    if signal == "bags":
        return (groups_of(WIDTH).sort().values == torch.arange(GROUPS)[:, None]) / ITEMS
    # Each number is bright in half of the groups: the first half of a row by one bit of the group, the rest by another.
    halves = 0.1 + 0.8 * torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    if signal == "vectors":
        return halves.repeat_interleave(WIDTH // 2, 1)
    if signal == "images":
        return halves.repeat_interleave(EDGE // 2, 1).view(GROUPS, 1, EDGE, 1).expand(-1, 1, EDGE, EDGE)
    return torch.tensor([[2 + 2 * group, 3 + 2 * group, 2 + 2 * group, 1] for group in range(GROUPS)])


def batch(signal, rows=32, seed=0):
    """Rows of the groups in turn: prototypes with a little noise, or with one item or word missing."""
    noise, means = generator(seed), prototypes(signal)[groups_of(rows)]
    if signal == "bags":
        missing = torch.randint(0, ITEMS + 1, (rows,), generator=noise)  # beyond the last item nothing is missing
        rank = (means > 0).cumsum(1) - 1
        row, item = ((means > 0) & (rank != missing[:, None])).nonzero().T
        ends = torch.zeros(rows + 1, dtype=torch.int64)
        ends[1:] = torch.bincount(row, minlength=rows).cumsum(0)
        tensors = Bags(item.contiguous(), ends, torch.ones(len(item)))
    elif signal == "tokens":
        tensors = TokenRows(means, torch.ones_like(means, dtype=torch.bool))
    else:
        spread = 0.05 * torch.randn(means.shape, generator=noise)
        tensors = Values(((means + spread).clamp(0, 1) * 255).round() / 255)
    return Batch(torch.arange(rows), tensors, tensors)


def first(tensors):
    """The first row alone."""
    if isinstance(tensors, Bags):
        return tensors.take(torch.zeros(1, dtype=torch.int64))
    if isinstance(tensors, TokenRows):
        return TokenRows(tensors.ids[:1], tensors.mask[:1])
    return Values(tensors.values[:1])


def model(signal, bottleneck, likelihood, *, outputs=1, code=CODE, seed=3, **parts):
    """The parts of a signal around ``bottleneck(hidden, code, generator)``."""
    g = generator(seed)
    encoder, hidden = _encoder(signal, g)
    made = bottleneck(hidden, code, g)
    decoder, readout = _decoder(signal, code, outputs, g)
    return Autoencoder(
        encoder=encoder, bottleneck=made, decoder=decoder, readout=readout, likelihood=likelihood, **parts
    )


def answers(trained, rows):
    """The group that each row is read back as. Of tokens the first one alone: only the code tells it."""
    with torch.no_grad():
        point = trained.encode(rows.inputs).point
        read = trained.likelihood.mean(trained.readout, trained.decode(point, rows))
    kind = type(rows.targets)
    if kind is TokenRows:
        return read[:, 0, prototypes("tokens")[:, 0]].argmax(1)
    means = prototypes({Bags: "bags"}.get(kind, "images" if read.dim() == 4 else "vectors"))
    if kind is Bags:
        return (read @ means.T).argmax(1)
    return torch.cdist(read.flatten(1), means.flatten(1)).argmin(1)


def _encoder(signal, g):
    if signal == "bags":
        return BagEncoder(WIDTH, (HIDDEN,), generator=g, activate_last=True), HIDDEN
    if signal == "vectors":
        return DenseEncoder(WIDTH, (HIDDEN,), generator=g, activate_last=True), HIDDEN
    if signal == "images":
        return ConvEncoder(1, EDGE, EDGE, (4, 8), generator=g, hidden=HIDDEN), HIDDEN
    encoder = LstmEncoder(WORDS, 8, HIDDEN, generator=g)
    return encoder, encoder.width


def _decoder(signal, code, outputs, g):
    if signal == "images":
        return ConvDecoder(code, EDGE, EDGE, (4, 8), generator=g), GridReadout(
            4, 1, EDGE, EDGE, generator=g, outputs=outputs
        )
    if signal == "tokens":
        return LstmDecoder(WORDS, 8, HIDDEN, code, generator=g), LinearReadout(HIDDEN, WORDS, generator=g)
    return DenseDecoder(code, (HIDDEN,), generator=g), LinearReadout(HIDDEN, WIDTH * outputs, generator=g)
