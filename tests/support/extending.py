"""A small model of bags for tests that extend it from outside, and what they all need."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import BagEncoder
from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.priors.normal import StandardNormal
from isthmus.core.readouts import LinearReadout
from isthmus.protocols import Phase
from isthmus.sources import BagSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train

ITEMS, HIDDEN, CODE = 30, 8, 4


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def matrix(rows=20, seed=0):
    dense = (np.random.default_rng(seed).random((rows, ITEMS)) < 0.2).astype(np.float32)
    dense[:, 0] = 1
    return csr_array(dense)


def bag_batch(rows=6):
    return BagSource.from_csr(matrix()).batch(torch.arange(rows))


def bag_model(**changes):
    g = generator()
    parts = {
        "encoder": BagEncoder(ITEMS, (HIDDEN,), generator=g, activate_last=True),
        "bottleneck": Gaussian(HIDDEN, CODE, generator=g),
        "prior": StandardNormal(CODE),
        "decoder": DenseDecoder(CODE, (HIDDEN,), generator=g),
        "readout": LinearReadout(HIDDEN, ITEMS, generator=g),
        "likelihood": Multinomial(),
    }
    return Autoencoder(**(parts | changes))


def tiny_plan(*phases, **changes):
    return Plan(phases=phases or (Phase(2),), batching=Shuffled(8), **changes)


def every_parameter_moves(model, source, plan):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, source, plan, Run(device="cpu", precision="fp32"))
    return {name for name, p in model.named_parameters() if not torch.equal(before[name], p)}
