"""Small autoencoders of every signal for tests of parts on the code: encoder and decoder are given, the rest is asked
for."""

from typing import Any

import torch
from torch import Generator

from isthmus.batch import Bags, Batch, Tensors, TokenRows, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.decoders import ConvDecoder, DenseDecoder, LstmDecoder, MemoryDecoder, TransformerDecoder
from isthmus.core.encoders import BagEncoder, DenseEncoder, LstmEncoder, TransformerEncoder
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.likelihoods.discrete import Categorical, Multinomial
from isthmus.core.readouts import LinearReadout
from isthmus.models.matryoshka import SkipConnectionDecoder

WIDTH, HIDDEN, CODE, ROWS = 12, 6, 4, 5


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def values(rows: int = ROWS, width: int = WIDTH, seed: int = 1) -> Values:
    return Values(torch.randn(rows, width, generator=generator(seed)))


def bags() -> Bags:
    indices, offsets = torch.tensor([0, 3, 7, 1, 2, 11, 5]), torch.tensor([0, 3, 3, 5, 6, 7])
    return Bags(indices, offsets, torch.rand(7, generator=generator(1)) + 0.5)


def tokens() -> TokenRows:
    ids = torch.randint(WIDTH, (ROWS, 6), generator=generator(1))
    return TokenRows(ids, torch.arange(6) < torch.tensor([6, 3, 1, 5, 2])[:, None])


def batch(inputs: Tensors) -> Batch:
    return Batch(torch.arange(inputs.size), inputs, inputs)


def vector_bridge(bottleneck: Any, *, layers: tuple[int, ...] = (HIDDEN,), activation: str = "tanh", **changes: Any):
    """``layers`` of the encoder; a linear decoder."""
    g = generator(7)
    code = len(bottleneck(torch.zeros(1, layers[-1] if layers else WIDTH)).point[0])
    parts: dict[str, Any] = {
        "encoder": DenseEncoder(WIDTH, layers, generator=g, activation=activation, activate_last=True),
        "bottleneck": bottleneck,
        "decoder": DenseDecoder(code, generator=g),
        "readout": LinearReadout(code, WIDTH, generator=g),
        "likelihood": Gaussian(),
    }
    return Autoencoder(**(parts | changes))


def bag_bridge(bottleneck: Any, *, layers: tuple[int, ...] = (HIDDEN,), **changes: Any) -> Autoencoder:
    """A table of ``WIDTH`` items, then the other layers; a linear decoder."""
    g = generator(7)
    code = len(bottleneck(torch.zeros(1, layers[-1])).point[0])
    parts: dict[str, Any] = {
        "encoder": BagEncoder(WIDTH, layers, generator=g, activate_last=True),
        "bottleneck": bottleneck,
        "decoder": DenseDecoder(code, (HIDDEN,), generator=g),
        "readout": LinearReadout(HIDDEN, WIDTH, generator=g),
        "likelihood": Multinomial(),
    }
    return Autoencoder(**(parts | changes))


def text_bridge(bottleneck: Any, encoder: str = "transformer", decoder: str = "transformer") -> Autoencoder:
    """A hidden state of ``4 * CODE`` numbers and a code of ``CODE``."""
    g, state = generator(7), 2 * CODE
    read = (
        TransformerEncoder(WIDTH, state, 1, 2, 8, generator=g)
        if encoder == "transformer"
        else LstmEncoder(WIDTH, HIDDEN, state, generator=g, pooling="mean_max")
    )
    written = {
        "transformer": lambda: TransformerDecoder(WIDTH, state, 1, 2, 8, CODE, generator=g),
        "memory": lambda: MemoryDecoder(WIDTH, state, 1, 2, 8, CODE, generator=g, slots=2),
        "lstm": lambda: LstmDecoder(WIDTH, HIDDEN, state, CODE, generator=g),
    }[decoder]()
    return Autoencoder(
        encoder=read,
        bottleneck=bottleneck,
        decoder=written,
        readout=LinearReadout(state, WIDTH, generator=g),
        likelihood=Categorical(),
    )


def decoders() -> dict[str, tuple[Any, int]]:
    """Every decoder of the library for a code of ``CODE``, and the width that a readout sees."""
    g = generator(7)
    return {
        "none": (DenseDecoder(CODE, generator=g), CODE),
        "dense": (DenseDecoder(CODE, (HIDDEN,), generator=g), HIDDEN),
        "skipping": (SkipConnectionDecoder(CODE, HIDDEN, generator=g), CODE + HIDDEN),
        "conv": (ConvDecoder(CODE, 8, 8, (2, 3), generator=g), 2),
        "transformer": (TransformerDecoder(WIDTH, HIDDEN, 2, 2, 8, CODE, generator=g), HIDDEN),
        "memory": (MemoryDecoder(WIDTH, HIDDEN, 2, 2, 8, CODE, generator=g), HIDDEN),
        "lstm": (LstmDecoder(WIDTH, HIDDEN, HIDDEN, CODE, generator=g), HIDDEN),
    }
