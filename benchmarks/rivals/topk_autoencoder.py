"""A TopK autoencoder as Gao et al. describe it ("Scaling and evaluating sparse autoencoders", 2024, appendix A), in
plain torch, for the benchmark ``sparse``; nothing of isthmus is imported.

    python topk_autoencoder.py FOLDER UNITS ACTIVE EPOCHS BATCH RATE SEED DEAD_AFTER

FOLDER/train.npy and test.npy hold rows of numbers. Written back: test_reconstructions.npy, and for both parts the units
that each row uses and their activations (train_units.npy, train_values.npy, ...). One line of JSON tells the seconds of
the training, with the median and without reading and writing.

What is followed: a bias that is subtracted before the encoder and added after the decoder, which starts as the
geometric median of 32,768 rows; unit columns of the decoder, drawn at random, and the encoder as their transpose; after
each step columns of length 1, and before it gradients without the part along their column; the squared error divided by
that of the mean; 1/32 of the auxiliary loss, in which the 2^round(log2(inputs / 2)) largest dead units explain the
residual, divided by the residual's own square; Adam with an epsilon of 6.25e-10 and a constant rate. Units count as
dead after DEAD_AFTER rows, where the paper has 10 million words: 60,000 rows would never reach that.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

AUXILIARY = 1 / 32
MEDIAN_ROWS, MEDIAN_ROUNDS = 32768, 20
BLOCK = 4096


def geometric_median(rows: Tensor) -> Tensor:
    """Weiszfeld's iteration."""
    median = rows.mean(0)
    for _ in range(MEDIAN_ROUNDS):
        weights = 1 / (rows - median).norm(dim=1).clamp(min=1e-6)
        median = (weights[:, None] * rows).sum(0) / weights.sum()
    return median


class Reference(nn.Module):
    """W_dec TopK(W_enc (x − b) + c) + b."""

    def __init__(self, rows: Tensor, units: int, active: int, dead_after: int, generator: torch.Generator) -> None:
        super().__init__()
        columns = F.normalize(torch.randn(units, rows.shape[1], generator=generator))
        self.decoder, self.encoder = nn.Parameter(columns), nn.Parameter(columns.clone())
        self.latent_bias = nn.Parameter(torch.zeros(units))
        self.bias = nn.Parameter(geometric_median(rows[:MEDIAN_ROWS]))
        self.active, self.dead_after = active, dead_after
        self.tried = 2 ** round(math.log2(rows.shape[1] / 2))
        self.silent = torch.zeros(units, dtype=torch.int64)

    def codes(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pre-activations, and of each row the units that are kept with their activations."""
        before = F.linear(rows - self.bias, self.encoder, self.latent_bias)
        kept = before.topk(self.active, dim=1, sorted=False)
        return before, kept.indices, kept.values.relu()

    def decode(self, units: Tensor, values: Tensor) -> Tensor:
        """Without the bias."""
        return torch.zeros(len(units), len(self.decoder)).scatter(1, units, values) @ self.decoder

    def loss(self, rows: Tensor) -> Tensor:
        before, units, values = self.codes(rows)
        made = self.decode(units, values) + self.bias
        error = (made - rows).square().mean() / (rows - rows.mean(0)).square().mean()
        used = torch.zeros_like(self.silent, dtype=torch.bool)
        used[units[values > 0]] = True
        self.silent = torch.where(used, 0, self.silent + len(rows))
        return error + AUXILIARY * self._auxiliary(before, (rows - made).detach())

    def _auxiliary(self, before: Tensor, residual: Tensor) -> Tensor:
        dead = self.silent >= self.dead_after
        count = min(self.tried, int(dead.sum()))
        if count == 0:
            return torch.zeros(())
        tried = before.masked_fill(~dead, -torch.inf).topk(count, dim=1, sorted=False)
        made = self.decode(tried.indices, tried.values.relu())
        return ((made - residual).square().mean() / residual.square().mean()).nan_to_num(0.0)

    @torch.no_grad()
    def without_radial_gradient(self) -> None:
        gradient = self.decoder.grad
        assert gradient is not None
        gradient -= (gradient * self.decoder).sum(1, keepdim=True) * self.decoder

    @torch.no_grad()
    def unit_columns(self) -> None:
        self.decoder.copy_(F.normalize(self.decoder))


def train(model: Reference, rows: Tensor, epochs: int, batch: int, rate: float, generator: torch.Generator) -> None:
    """Shuffled batches, the last one smaller."""
    adam = torch.optim.Adam(model.parameters(), lr=rate, eps=6.25e-10)
    for _ in range(epochs):
        for chosen in torch.randperm(len(rows), generator=generator).split(batch):
            adam.zero_grad()
            model.loss(rows[chosen]).backward()
            model.without_radial_gradient()
            adam.step()
            model.unit_columns()


@torch.no_grad()
def write(model: Reference, rows: Tensor, folder: Path, part: str) -> None:
    """Codes of all rows; reconstructions of the test rows."""
    codes = [model.codes(block)[1:] for block in rows.split(BLOCK)]
    units, values = (torch.cat(parts) for parts in zip(*codes, strict=True))
    np.save(folder / f"{part}_units.npy", units.numpy())
    np.save(folder / f"{part}_values.npy", values.numpy())
    if part == "test":
        made = [model.decode(*code) + model.bias for code in codes]
        np.save(folder / "test_reconstructions.npy", torch.cat(made).numpy())


def main() -> None:
    folder = Path(sys.argv[1])
    units, active, epochs, batch = (int(number) for number in sys.argv[2:6])
    rate, seed, dead_after = float(sys.argv[6]), int(sys.argv[7]), int(sys.argv[8])
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    parts = {part: torch.from_numpy(np.load(folder / f"{part}.npy", allow_pickle=False)) for part in ("train", "test")}
    started = time.perf_counter()
    model = Reference(parts["train"], units, active, dead_after, generator)
    train(model, parts["train"], epochs, batch, rate, generator)
    seconds = time.perf_counter() - started
    for part, rows in parts.items():
        write(model, rows, folder, part)
    print(json.dumps({"seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main()
