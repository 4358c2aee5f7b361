"""Initial weights and biases of networks over items, uniform in ±1 / √inputs: torch's default for linear layers.

With Glorot & Bengio's values the table that the encoder adds up, with a row for each of thousands of items, begins
larger, and the readout smaller.
"""

from __future__ import annotations

from torch import Generator, nn

from isthmus.core.readouts import LinearReadout


def draw_by_inputs(
    table: nn.Parameter, bias: nn.Parameter, readout: LinearReadout, *between: nn.Module, generator: Generator
) -> None:
    """Draw the weights and biases of a network again, in place.

    Args:
        table: of the encoder; its inputs are all items.
        bias: of the encoder's first layer.
        readout: scores items.
        between: parts whose linear layers are drawn, too.
        generator: draws them.
    """
    layers = [layer for part in between for layer in part.modules() if isinstance(layer, nn.Linear)]
    ends = [(table, bias, len(table)), (readout.weight, readout.bias, readout.weight.shape[1])]
    for weight, offset, inputs in [*ends, *((layer.weight, layer.bias, layer.in_features) for layer in layers)]:
        for parameter in (weight, offset):
            nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)
