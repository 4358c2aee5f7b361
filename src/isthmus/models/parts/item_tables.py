"""Features of items as a second input of a network during training.

A network has two tables with a row for each item, in the encoder and in the readout. With features F [items, features]
a row is

    own_i + Σ_f weight · F_if · learned_f

so that items with a common tag or word share a part of their rows, and items with few interactions have meaningful
rows. After the training the sums become the tables: the network has the same tensors as one without features, and does
not need them any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn.utils import parametrize

from isthmus.batch import Bags
from isthmus.core.ops.bags import bag_sum
from isthmus.errors import SettingError
from isthmus.reprs import brief


@brief
@dataclass(frozen=True)
class ItemTable:
    """A parameter with a row for each item.

    Attributes:
        part: the module that has it.
        name: its name there.
    """

    part: nn.Module
    name: str


@brief
@dataclass(frozen=True)
class ItemTables:
    """The tables of a network that may include features of items.

    Attributes:
        tables: all tables, including those of frozen copies of a part.
        weight: weight of features relative to the items' own rows; 0 for no features.
    """

    tables: Sequence[ItemTable]
    weight: float

    @classmethod
    def of(cls, weight: float, *tables: ItemTable, rowwise: bool = False) -> ItemTables:
        """The tables of a builder.

        Args:
            weight: the builder's ``feature_weight``.
            tables: the tables.
            rowwise: whether their gradients are sparse, which excludes features.

        Raises:
            SettingError: a weight below 0, or one above 0 with sparse gradients.
        """
        if not weight >= 0:
            raise SettingError(f"feature_weight={weight}", expected="0 or more")
        if weight and rowwise:
            raise SettingError(
                f"feature_weight={weight} with a sampled softmax", expected="0", remedy="set negatives=0 as well"
            )
        return cls(tables, weight)

    @contextmanager
    def with_features(self, features: csr_array | None) -> Iterator[None]:
        """A context in which the tables include learned rows of features, which are merged into them afterwards.

        Args:
            features: shape (features, items); None for none.

        Raises:
            SettingError: tables that are distributed by rows.
        """
        if features is None or not self.weight:
            yield
            return
        by_item = csr_array(features.T.tocsr())
        tables = [table.part.get_parameter(table.name) for table in self.tables]
        if any(len(own) != by_item.shape[0] for own in tables):
            raise SettingError("features of items with tables that are cut by rows", remedy="leave one of both away")
        for table, own in zip(self.tables, tables, strict=True):
            shared = _FromFeatures(by_item, own.shape[1], self.weight).to(own.device)
            parametrize.register_parametrization(table.part, table.name, shared.requires_grad_(own.requires_grad))
        try:
            yield
        finally:
            for table in self.tables:
                parametrize.remove_parametrizations(table.part, table.name, leave_parametrized=True)


class _FromFeatures(nn.Module):
    """The part of a table that comes from features."""

    def __init__(self, by_item: csr_array, width: int, weight: float) -> None:
        super().__init__()
        self.learned = nn.Parameter(torch.zeros(by_item.shape[1], width))
        self._bags = Bags(
            torch.from_numpy(by_item.indices).long(),
            torch.from_numpy(by_item.indptr).long(),
            torch.from_numpy(by_item.data).float() * weight,
        )

    def forward(self, own: Float[Tensor, "items width"]) -> Float[Tensor, "items width"]:
        if self._bags.indices.device != own.device:
            self._bags = self._bags.to(own.device)
        return own + bag_sum(self.learned, self._bags)
