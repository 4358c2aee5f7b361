"""Many small networks as one network, in which each linear layer is a batched product over all members."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from isthmus.batch import Batch, Tensors, Values
from isthmus.core.ops.layers import ACTIVATIONS, uniform
from isthmus.protocols import Columns


class GroupedLinear(nn.Module):
    """A linear layer for each member: [batch, members, inputs] to [batch, members, outputs]."""

    def __init__(self, members: int, inputs: int, outputs: int, *, generator: Generator) -> None:
        super().__init__()
        # Glorot & Bengio's bound, as for a single layer.
        bound = (6 / (inputs + outputs)) ** 0.5
        self.weight = uniform(members, inputs, outputs, bound=bound, generator=generator)
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Float[Tensor, "batch members inputs"]) -> Float[Tensor, "batch members outputs"]:
        """Apply the layer of each member to its own slice."""
        return torch.baddbmm(self.bias, x.transpose(0, 1), self.weight).transpose(0, 1)


class GroupedMlp(nn.Module):
    """Grouped layers with an activation between them, and after the last one if ``activate_last``."""

    def __init__(
        self, members: int, sizes: Sequence[int], *, generator: Generator, activation: str, activate_last: bool
    ) -> None:
        super().__init__()
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList(GroupedLinear(members, a, b, generator=generator) for a, b in pairs)
        self.activation, self.activate_last = ACTIVATIONS[activation], activate_last

    def forward(self, x: Float[Tensor, "batch members inputs"]) -> Float[Tensor, "batch members outputs"]:
        """[batch, members, sizes[0]] to [batch, members, sizes[-1]]."""
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if self.activate_last or index < len(self.layers) - 1:
                x = self.activation(x)
        return x


class GroupedEncoder(nn.Module):
    """``enter``: each member's view of a record [batch, members, inputs]; ``trunk``: an MLP per member to the code.

    Args:
        members: number of members.
        sizes: widths from the view to the code.
        codes: width of the code of each member; further units are zero.
    """

    def __init__(
        self, members: int, sizes: Sequence[int], codes: Sequence[int], *, generator: Generator, activation: str
    ) -> None:
        super().__init__()
        self.members = members
        self.mlp = GroupedMlp(members, sizes, generator=generator, activation=activation, activate_last=False)
        self.open: Tensor
        self.register_buffer("open", _open(codes, sizes[-1]), persistent=False)

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch members inputs"]:
        """The values of the batch; if all members have the same view, a copy for each."""
        assert isinstance(inputs, Values), "a grouped encoder reads values"
        values = inputs.values
        return values if values.dim() == 3 else values[:, None].expand(-1, self.members, -1)

    def trunk(
        self, entered: Float[Tensor, "batch members inputs"], inputs: Tensors | None
    ) -> Float[Tensor, "batch members code"]:
        """Codes, one per member."""
        code: Tensor = self.mlp(entered)
        return code * self.open


class GroupedDecoder(nn.Module):
    """An MLP from a member's code and its view of the inputs to the state that the readout reads."""

    def __init__(self, members: int, sizes: Sequence[int], *, generator: Generator, activation: str) -> None:
        super().__init__()
        self.mlp = GroupedMlp(members, sizes, generator=generator, activation=activation, activate_last=True)

    def forward(
        self, sample: Float[Tensor, "batch members code"], given: Batch | None
    ) -> tuple[Float[Tensor, "batch members hidden"], Bool[Tensor, "batch members width"] | None]:
        """The state, and a mask of the numbers hidden from each member; None if nothing was hidden."""
        assert given is not None, "a grouped decoder asks what was hidden"
        assert isinstance(given.inputs, Values), "a grouped decoder reads values"
        values = given.inputs.values
        hidden = values[..., values.shape[-1] // 2 :] == 0 if values.dim() == 3 else None
        return self.mlp(sample), hidden


class GroupedReadout(nn.Module):
    """Two numbers for each column and member: the mean and the logarithm of the scale."""

    def __init__(self, members: int, hidden: int, width: int, *, generator: Generator) -> None:
        super().__init__()
        self.layer = GroupedLinear(members, hidden, 2 * width, generator=generator)

    def logits(
        self, decoded: Float[Tensor, "batch members hidden"], columns: Columns = None
    ) -> Float[Tensor, "batch members columns 2"]:
        """Logits of all columns, a slice of them, or some by number."""
        logits: Tensor = self.layer(decoded)
        pairs = logits.view(*logits.shape[:2], -1, 2)
        return pairs if columns is None else pairs[:, :, columns]


def _open(codes: Sequence[int], width: int) -> Float[Tensor, "members code"]:
    return (torch.arange(width) < torch.tensor(list(codes))[:, None]).float()
