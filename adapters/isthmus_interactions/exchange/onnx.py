"""A recommender as an ONNX graph: histories as bags of item numbers in, the best items and their scores out."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from isthmus import onnx, plugins
from isthmus.batch import Bags
from isthmus.checked.arguments import whole
from isthmus.core.rankers import ranker_of
from isthmus.disk import new_folder
from isthmus.errors import SettingError
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.order.inputs import reads_of
from isthmus_interactions.recommender import Recommender

ITEMS = "items.json"
K = 100

WHY_NOT = {
    "als": "the vector of a user is the solution of a system of equations for each history",
    "bpr": "the vector of a user is found by an iteration for each history",
}
"""Models that compute something for which ONNX has no operations, by builder."""


def export(recommender: Recommender, folder: str | Path, *, k: int = K) -> Path:
    """Write a recommender for onnxruntime: ``model.onnx`` and ``items.json``.

    The graph takes ``items`` (int64 [entries], numbers of items), ``offsets`` (int64 [histories + 1], where the entries
    of each history start, and at last where they end) and ``weights`` (float32 [entries], 1 for each item), and returns
    ``ids`` (int64 [histories, k], numbers of items) and ``scores`` (float32 [histories, k]), best first. ``items.json``
    lists the id of each number. Items of a history are not recommended to it; what is left when there are no others has
    the score -inf. An empty history gets the most popular items, scored by their share of users.

    Args:
        recommender: the model.
        folder: a new folder; it is written whole or not at all.
        k: number of items in an answer, at most all.

    Returns:
        The folder.

    Raises:
        SettingError: a model that reads the order of a history, or that ONNX cannot express; the message says why.
        MissingLibraryError: the extra ``onnx`` is not installed.
        InputError: the folder exists.
    """
    items = recommender.adapter.items
    k = min(whole("k", k, least=1), len(items))
    scorer = exportable(copy.deepcopy(recommender.model).cpu().eval(), recommender.builder)
    popularity = Popularity.of(recommender.interactions).shares
    graph = onnx.Graph(
        _TopItems(scorer, popularity, k),
        [_histories(len(items), rows) for rows in (3, 1, 8)],
        {"items": {0: "entries"}, "offsets": {0: "ends"}, "weights": {0: "entries"}},
        ("ids", "scores"),
        {"model": plugins.command_name(recommender.builder), "k": str(k), "items": str(len(items))},
        # What is traced with one history is not valid for several; what is traced with two is valid for one.
        {"ends": 3},
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
    if hasattr(model, "exponents") and hasattr(model, "parts"):
        counting = model.weights.nonzero()[:, 0].tolist()  # type: ignore[operator, union-attr]
        parts = [exportable(model.parts[part], builder) for part in counting]  # type: ignore[index]
        return _Blended(parts, model.weights[counting], model.exponents[counting])  # type: ignore[index]
    reads = reads_of(model)
    why = WHY_NOT.get(builder, "")
    if reads.order or not reads.bags:
        why = "it reads the order or the times of a history, and a bag of item numbers has neither"
    elif not hasattr(model, "width") and not hasattr(model, "encoder"):
        why = "it scores items by what is not in the graph"
    if why:
        name = plugins.command_name(builder)
        raise SettingError(
            f"{name} cannot be exported to ONNX: {why}", expected="a network of bags, a linear model, or a blend of them"
        )
    if hasattr(model, "neighbours") and hasattr(model, "weights"):
        return _Sparse(model.neighbours, model.weights)  # type: ignore[arg-type]
    return _Ranked(model)


class _TopItems(nn.Module):
    """Scores, then the best items. One empty history and one entry of weight 0 are added, so that no length is 0."""

    popularity: Tensor

    def __init__(self, scorer: nn.Module, popularity: Float[Tensor, " width"], k: int) -> None:
        super().__init__()
        self.scorer, self.k = scorer, k
        self.register_buffer("popularity", popularity)

    def forward(
        self, items: Int64[Tensor, " entries"], offsets: Int64[Tensor, " ends"], weights: Float[Tensor, " entries"]
    ) -> tuple[Int64[Tensor, "batch k"], Float[Tensor, "batch k"]]:
        more = torch.cat([items, items.new_zeros(1)])
        ends = torch.cat([offsets, offsets[-1:] + 1])
        places = torch.arange(more.shape[0])
        # The row of each entry, by comparison: a search in a sorted list has no form in ONNX.
        rows = (places.unsqueeze(1) >= ends[1:].unsqueeze(0)).sum(1)
        bags = Bags(more, ends, torch.cat([weights, weights.new_zeros(1)]), _known={"rows": rows})
        scores = self.scorer(bags)[:-1]
        empty = (offsets[1:] == offsets[:-1]).unsqueeze(1)
        scores = torch.where(empty, self.popularity.unsqueeze(0), scores.float())
        scores = scores.index_put((rows[:-1], items), scores.new_full((), -torch.inf))
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


def _histories(width: int, rows: int) -> dict[str, Tensor]:
    """Some histories, the last of them empty where there are several."""
    chance = np.random.default_rng(rows)
    lengths = [min(width, 1 + row % 4) if row + 1 < rows or rows == 1 else 0 for row in range(rows)]
    items = np.concatenate([chance.choice(width, length, replace=False) for length in lengths]).astype(np.int64)
    offsets = torch.tensor(np.cumsum([0, *lengths]), dtype=torch.int64)
    return {"items": torch.from_numpy(items), "offsets": offsets, "weights": torch.ones(len(items))}
