"""Steps of plain autoencoders on a CPU, with the gradient written out.

In a step of a network with layers of a few dozen numbers, automatic differentiation and the operations between the
layers take several times as long as the products. If encoder, bottleneck, decoder and readout are one chain of affine
layers, and the likelihood knows its gradient, a step needs neither (``isthmus.core.ops.chains``). The gradients are
those of automatic differentiation up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from isthmus.batch import Batch, Values
from isthmus.capabilities import SlopedLikelihood, affine_layers, sloped
from isthmus.core.autoencoder import Autoencoder, Loss
from isthmus.core.ops.chains import Chain, chain_of
from isthmus.reprs import brief
from isthmus.training.plan import Plan


@brief
@dataclass(frozen=True)
class PlainSteps:
    """Loss and gradient of a plain autoencoder.

    Attributes:
        model: the model, whose parts are the chain.
        chain: its layers, from the inputs to the logits.
        likelihood: that of the model.
        no_rate: the rate of every record.
    """

    model: Autoencoder
    chain: Chain
    likelihood: SlopedLikelihood
    no_rate: Tensor

    def loss(self, batch: Batch, noise: Generator | None) -> tuple[Loss, Callable[[], None]] | None:
        """The loss, and a function that sets the gradient of every parameter.

        Args:
            batch: some rows.
            noise: generator for the corruption; None for clean inputs.

        Returns:
            None if the rows are no vectors, or are to be multiplied in another precision.
        """
        if not (isinstance(batch.inputs, Values) and batch.inputs.values.dtype == torch.float32):
            return None
        if torch.is_autocast_enabled("cpu"):
            return None
        inputs = self.model.entering(batch, noise)
        assert isinstance(inputs, Values)
        passed = self.chain.forward(inputs.values)
        nats, gradient = self.likelihood.descent(passed.output, batch.targets)
        loss = Loss(nats, {"nll": nats, "rate": self.no_rate})
        return loss, partial(self.chain.backward, passed, gradient)


def plain_steps(model: Autoencoder, plan: Plan) -> PlainSteps | None:
    """Such steps for a model on the CPU; None if its plan or its parts do not allow them.

    Args:
        model: the model.
        plan: the plan that trains it.
    """
    likelihood = sloped(model.likelihood)
    special = any(phase.trainable or phase.objective or phase.likelihood for phase in plan.phases)
    if not plan.plain or likelihood is None or special:
        return None
    parts = (model.encoder, model.bottleneck, model.decoder, model.readout)
    chain = chain_of([affine_layers(part) for part in parts])
    # Gradients are written to all parameters of the chain.
    wanted = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    if chain is None or chain.parameters != wanted:
        return None
    return PlainSteps(model, chain, likelihood, torch.zeros(()))
