"""One epoch of a causal model of items on a CPU: the softmax over all items, in chunks, beside 256 negatives for each
position, with which SASRec is usually trained today; and 256 that a whole batch shares.

The negatives of the others are plain PyTorch: their vectors are gathered, [positions, 257, width], and multiplied.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from benchmarks.harness import Line, Results, Smoke, mark, markdown, newest
from isthmus.batch import Bag, Bags, Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.ops.softmax import multinomial_log_prob
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.sequence_recommender import sequence_recommender
from isthmus.protocols import Source
from isthmus.training.run import Run
from isthmus_interactions.datasets import movielens_1m
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.sequences import SequenceSource

NAME = "next_item_epoch"
TITLE = "An epoch of a causal model: all items, or negatives"
NEGATIVES = 256
STEPS = 12
WAYS = ("all items", "256 negatives a position", "256 negatives a batch")
PRECISIONS = ("fp32", "bf16")


def run(smoke: Smoke = False) -> list[Line]:
    """Seconds of an epoch in each way: the steps of a few batches, by the number of their positions."""
    results = Results(NAME, smoke=smoke)
    data, items, length = (_walks(), 40, 10) if smoke else (*_movielens(), 200)
    for precision in PRECISIONS[:1] if smoke else PRECISIONS:
        for way in WAYS:
            key = {"items": items, "way": way, "precision": precision, "threads": torch.get_num_threads()}
            if results.find(**key) is None:
                results.add(**key, **_measured(data, items, length, way, precision, 2 if smoke else STEPS))
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Seconds of an epoch, and how many times as long each way takes as the softmax over all items."""
    found = newest(lines, lambda line: (line["items"], line["way"], line["precision"], line["threads"]))
    whole = {_where(line): line["epoch_seconds"] for line in found if line["way"] == WAYS[0]}
    rows = []
    for line in found:
        ratio = f"{line['epoch_seconds'] / whole[_where(line)]:.1f}" if _where(line) in whole else ""
        rows.append(
            (line["way"] + mark(line), line["precision"], line["threads"], f"{line['epoch_seconds']:.1f}", ratio)
        )
    return markdown(("way", "precision", "threads", "seconds per epoch", "ratio"), rows) if rows else []


def _where(line: Line) -> tuple[Any, ...]:
    return line["items"], line["precision"], line["threads"]


def _movielens() -> tuple[Source, int]:
    data, _ = movielens_1m(keep="all")
    return _source(data, 200), len(data.items)


def _walks() -> Source:
    g = Generator().manual_seed(0)
    items = (torch.randint(1, 4, (60, 10), generator=g).cumsum(1) % 40).flatten().tolist()
    users = torch.arange(60).repeat_interleave(10).tolist()
    return _source(Interactions.read((users, items, [1.0] * 600), ordered=True), 10)


def _source(data: Interactions, length: int) -> Source:
    assert data.histories is not None
    return SequenceSource.of(data.histories, length)


def _measured(data: Source, items: int, length: int, way: str, precision: str, steps: int) -> dict[str, float]:
    recipe = sequence_recommender(Bag(items), generator=Generator().manual_seed(0), length=length)
    assert recipe.reads is not None
    source, optimizer = recipe.reads(data), torch.optim.Adam(recipe.model.parameters(), 1e-3, fused=True)
    loss, done, spent = _losses()[way], 0, 0.0
    recipe.model.train()
    batches = list(recipe.plan.batching(source.lengths, Generator().manual_seed(0)))
    for number in range(1 + steps):
        rows = batches[number % len(batches)]
        batch, started = source.batch(rows), time.perf_counter()
        _step(recipe, batch, optimizer, loss, precision)
        if number:
            # The first step compiles.
            done, spent = done + batch.targets.size, spent + time.perf_counter() - started
    positions = int(source.lengths.sum())
    return {"positions": positions, "epoch_seconds": spent / max(done, 1) * positions}


Loss = Callable[[Autoencoder, Tensor, Bags, Generator], Tensor]


def _step(recipe: GradientRecipe, batch: Batch, optimizer: torch.optim.Optimizer, loss: Loss, precision: str) -> None:
    model = recipe.model
    with Run(precision=precision).products():
        states = model.decode(model.encode(batch.inputs).point)
        assert isinstance(batch.targets, Bags)
        total = loss(model, states, batch.targets, Generator().manual_seed(len(states)))
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    optimizer.step()


def _losses() -> dict[str, Loss]:
    return dict(zip(WAYS, (_all_items, _each_position, _shared), strict=True))


def _all_items(model: Autoencoder, states: Tensor, targets: Bags, generator: Generator) -> Tensor:
    return -multinomial_log_prob(states, _table(model), _bias(model), targets).mean()


def _each_position(model: Autoencoder, states: Tensor, targets: Bags, generator: Generator) -> Tensor:
    drawn = torch.randint(len(_table(model)), (len(states), NEGATIVES), generator=generator)
    ids = torch.cat([targets.indices[:, None], drawn], 1)
    logits = torch.bmm(F.embedding(ids, _table(model)), states[:, :, None])[:, :, 0]
    return F.cross_entropy(logits, torch.zeros(len(states), dtype=torch.int64))


def _shared(model: Autoencoder, states: Tensor, targets: Bags, generator: Generator) -> Tensor:
    drawn = torch.randint(len(_table(model)), (NEGATIVES,), generator=generator)
    own = (states * F.embedding(targets.indices, _table(model))).sum(1, keepdim=True)
    logits = torch.cat([own, states @ F.embedding(drawn, _table(model)).T], 1)
    return F.cross_entropy(logits, torch.zeros(len(states), dtype=torch.int64))


def _table(model: Autoencoder) -> Tensor:
    return model.get_parameter("encoder.table")


def _bias(model: Autoencoder) -> Tensor:
    return model.get_parameter("readout.bias")
