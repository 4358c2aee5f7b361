"""What a code that is cut anywhere is trained for: every prefix keeps the neighbours of the vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from isthmus.batch import Values
from isthmus.errors import SettingError
from isthmus.protocols import Step


@dataclass(frozen=True)
class MatryoshkaLoss:
    """The mean over prefixes of the code (nested losses: Kusupati et al., "Matryoshka Representation Learning",
    NeurIPS 2022, equation 1) of

        mean_i ‖x_i − x̂_i‖²  +  weight · mean_i KL( softmax_j(x_i · x_j / t)  ‖  softmax_j(x_i · x̂_j / t) )

    over the rows i of a batch and all others j ≠ i, where x and x̂ are of length 1 (only directions count, as for
    cosines) and t is the temperature. The second term asks that every whole vector finds the same neighbours among the
    decoded ones, nearest first: it is what a search with unquantised queries does. Needs ``Code.notes["nested"]``
    [batch lengths code], see ``ResidualQuantizer``.

    Raises:
        SettingError: no positive temperature, or a negative weight; targets that are no dense values.
    """

    temperature: float = 0.05
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not self.weight >= 0:
            raise SettingError(
                f"temperature {self.temperature} and weight {self.weight}", expected="above 0, and 0 or more"
            )

    def __call__(self, step: Step, rate: Float[Tensor, " batch"], progress: float) -> Float[Tensor, ""]:
        """The loss, lower is better; 0 where nothing is lost."""
        targets = step.batch.targets
        if not isinstance(targets, Values):
            raise SettingError(f"nested similarities of {type(targets).__name__}", expected="dense values")
        vectors = targets.values.float()
        nested = step.code.notes["nested"]
        losses = [self.lost(vectors, decoded_of(step.model, nested[:, i])) for i in range(nested.shape[1])]
        return torch.stack(losses).mean()

    def lost(self, vectors: Float[Tensor, "batch width"], decoded: Float[Tensor, "batch width"]) -> Float[Tensor, ""]:
        """What one prefix loses."""
        wanted, found = F.normalize(vectors), F.normalize(decoded)
        error = (wanted - found).square().sum(1).mean()
        if self.weight == 0 or len(vectors) < 3:
            return error
        return error + self.weight * self._divergence(wanted, found)

    def _divergence(
        self, vectors: Float[Tensor, "batch width"], decoded: Float[Tensor, "batch width"]
    ) -> Float[Tensor, ""]:
        own = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        least = torch.finfo(torch.float32).min
        wanted, found = (
            F.log_softmax((vectors @ others.T).float().div(self.temperature).masked_fill(own, least), dim=1)
            for others in (vectors, decoded)
        )
        return F.kl_div(found, wanted, reduction="batchmean", log_target=True)


def decoded_of(model: Any, code: Float[Tensor, "rows code"]) -> Float[Tensor, "rows width"]:
    """The vectors that a model of dense values makes of codes."""
    vectors: Tensor = model.readout.logits(model.decode(code))
    return vectors.float()
