"""A recommender as an ONNX graph: histories as bags of item numbers in, the best items and their scores out."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from isthmus import onnx, plugins
from isthmus.batch import Bags
from isthmus.checked.arguments import whole
from isthmus.core.rankers import Blend, ranker_of
from isthmus.disk import new_folder
from isthmus.errors import SettingError
from isthmus.onnx.bags import AXES, LEAST, padded, some_bags
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.order.inputs import reads_of

ITEMS = "items.json"
K = 100

WHY_NOT = {
    "als": "the vector of a user is the solution of a system of equations for each history",
    "bpr": "the vector of a user is found by an iteration for each history",
}
"""Models that compute something for which ONNX has no operations, by builder."""


def export(fitted: FittedRecommender, folder: str | Path, k: int) -> Path:
    """What ``Recommender.to_onnx`` does, which describes the files.

    Args:
        fitted: the model with its items.
        folder: a new folder.
        k: number of items in an answer.

    Returns:
        The folder.

    Raises:
        SettingError: a model that cannot be exported.
        MissingLibraryError: the extra ``onnx`` is not installed.
        InputError: the folder exists.
    """
    items = fitted.adapter.items
    k = min(whole("k", k, least=1), len(items))
    scorer = exportable(copy.deepcopy(fitted.model).cpu().eval(), fitted.builder)
    popularity = Popularity.of(fitted.interactions).shares
    graph = onnx.Graph(
        _TopItems(scorer, popularity, k),
        [some_bags(len(items), rows) for rows in (3, 1, 8)],
        AXES,
        ("ids", "scores"),
        {"model": plugins.command_name(fitted.builder), "k": str(k), "items": str(len(items))},
        LEAST,
    )
    with new_folder(folder) as scratch:
        onnx.write(graph, scratch)
        (scratch / ITEMS).write_bytes(json.dumps(items.ids.tolist(), ensure_ascii=False).encode())
    return Path(folder)


def exportable(model: nn.Module, builder: str) -> nn.Module:
    """A module that scores all items for bags, without branches on values.

    Args:
        model: of a recommender, on the CPU.
        builder: its name.

    Returns:
        A module of ``Bags`` that returns scores, shape (histories, items).

    Raises:
        SettingError: the model cannot be exported.
    """
    if isinstance(model, Blend):
        counting = model.weights.nonzero()[:, 0].tolist()
        parts = [exportable(model.parts[part], builder) for part in counting]
        return _Blended(parts, model.weights[counting], model.exponents[counting])
    reads = reads_of(model)
    why = WHY_NOT.get(builder, "")
    if reads.order or not reads.bags:
        why = "it reads the order or the times of a history, and a bag of item numbers has neither"
    elif not hasattr(model, "width") and not hasattr(model, "encoder"):
        why = "it scores items by what is not in the graph"
    if why:
        name = plugins.command_name(builder)
        raise SettingError(
            f"{name} cannot be exported to ONNX: {why}",
            expected="a network of bags, a linear model, or a blend of them",
        )
    if hasattr(model, "neighbours") and hasattr(model, "weights"):
        return _Sparse(model.neighbours, model.weights)  # type: ignore[arg-type]
    return _Ranked(model)


class _TopItems(nn.Module):
    """Scores of all items, then the best of those that a history does not hold."""

    popularity: Tensor

    def __init__(self, scorer: nn.Module, popularity: Float[Tensor, " width"], k: int) -> None:
        super().__init__()
        self.scorer, self.k = scorer, k
        self.register_buffer("popularity", popularity)

    def forward(
        self, items: Int64[Tensor, " entries"], offsets: Int64[Tensor, " ends"], weights: Float[Tensor, " entries"]
    ) -> tuple[Int64[Tensor, "batch k"], Float[Tensor, "batch k"]]:
        bags = padded(items, offsets, weights)
        scores = self.scorer(bags)[:-1]
        empty = (offsets[1:] == offsets[:-1]).unsqueeze(1)
        scores = torch.where(empty, self.popularity.unsqueeze(0), scores.float())
        scores = scores.index_put((bags.rows()[:-1], items), scores.new_full((), -torch.inf))
        best = scores.topk(self.k)
        return best.indices, best.values


class _Ranked(nn.Module):
    """Whatever ranks as it is."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self._ranker = model, ranker_of(model)

    def forward(self, bags: Bags) -> Float[Tensor, "batch width"]:
        return self._ranker.scores(self._ranker.prepare(bags))


class _Sparse(nn.Module):
    """x B where each column of B has few weights: the numbers of x at its neighbours, weighted and summed."""

    neighbours: Tensor
    weights: Tensor

    def __init__(self, neighbours: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.register_buffer("neighbours", neighbours.long())
        self.register_buffer("weights", weights)

    def forward(self, bags: Bags) -> Float[Tensor, "batch width"]:
        dense = self.weights.new_zeros(bags.offsets.shape[0] - 1, self.weights.shape[0])
        dense = dense.index_put((bags.rows(), bags.indices), bags.weights, accumulate=True)
        return (dense[:, self.neighbours] * self.weights).sum(-1)


class _Blended(nn.Module):
    """The weighted sum of a blend, whose parts are known."""

    weights: Tensor
    exponents: Tensor

    def __init__(self, parts: Sequence[nn.Module], weights: Tensor, exponents: Tensor) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.register_buffer("weights", weights)
        self.register_buffer("exponents", exponents)

    def forward(self, bags: Bags) -> Float[Tensor, "batch width"]:
        lengths = (bags.offsets[1:] - bags.offsets[:-1]).clamp(min=1).to(self.weights.dtype)
        scored = [part(bags).float() for part in self.parts]
        factors = [self.weights[place] / lengths ** self.exponents[place] for place in range(len(scored))]
        return torch.stack([one * factor.unsqueeze(1) for one, factor in zip(scored, factors, strict=True)]).sum(0)
