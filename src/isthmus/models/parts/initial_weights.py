"""Initial weights and biases of networks over items, uniform in ±1 / √inputs: torch's default for linear layers.

With Glorot & Bengio's values the table that the encoder adds up, with a row for each of thousands of items, begins
larger, and the readout smaller.
"""

from __future__ import annotations

from torch import Generator, nn

from isthmus.core.placement import Fill, Rows
from isthmus.core.readouts import LinearReadout


def draw_by_inputs(
    rows: Rows,
    table: nn.Parameter,
    bias: nn.Parameter,
    readout: LinearReadout,
    *between: nn.Module,
    generator: Generator,
) -> None:
    """Draw the weights and biases of a network again, in place.

    Args:
        rows: where the rows of the encoder's table are; its inputs are all items.
        table: of the encoder.
        bias: of the encoder's first layer.
        readout: scores items.
        between: parts whose linear layers are drawn, too.
        generator: draws them.
    """
    layers = [layer for part in between for layer in part.modules() if isinstance(layer, nn.Linear)]

    def drawn(inputs: int) -> Fill:
        return lambda numbers: numbers.uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)

    rows.fill(table, drawn(rows.width))
    drawn(rows.width)(bias.detach())
    for parameter in (readout.weight, readout.bias):
        readout.rows.fill(parameter, drawn(readout.weight.shape[1]))
    for layer in layers:
        for own in (layer.weight, layer.bias):
            drawn(layer.in_features)(own.detach())
