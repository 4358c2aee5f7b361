"""Computes a trained model in fp64, so that the result for a row does not depend on the other rows of the batch, not
even in the last digit of fp32."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64
from torch import Tensor

from isthmus.batch import Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import InputError
from isthmus.reprs import brief
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.vectors import Vectors

Numbers = npt.NDArray[np.float64]

CODES = 1024
"""Number of codes that are decoded together."""


@brief
@dataclass(frozen=True, eq=False)
class Float64Model:
    """A model in fp64, on the CPU, in evaluation mode, with its adapter. Created by ``of``."""

    model: Autoencoder
    adapter: VectorAdapter

    @classmethod
    def of(cls, model: Autoencoder, adapter: VectorAdapter) -> Float64Model:
        """A copy of a trained model in fp64."""
        return cls(copy.deepcopy(model).cpu().double().eval(), adapter)

    def codes(self, records: Vectors) -> Float64[np.ndarray, "rows code"]:
        """The code of each row (deterministic)."""
        return self._by_block(records, lambda batch: self.model.encode(batch.inputs).point.flatten(1))

    def log_likelihoods(self, records: Vectors) -> Float64[np.ndarray, " rows"]:
        """log p(row | its code) of the scaled row, nats; higher is more normal."""
        return self._by_block(records, lambda batch: self.model.step(batch).log_likelihood[:, 0])

    def reconstructions(self, records: Vectors) -> Float64[np.ndarray, "rows width"]:
        """Reconstructions on the scale of the model."""
        return self._by_block(records, lambda batch: self._mean(self.model.step(batch).decoded))

    @torch.no_grad()
    def decode(self, codes: Numbers) -> Float64[np.ndarray, "rows width"]:
        """Decode codes to rows, in their original units."""
        parts = [self._mean(self.model.decode(some)) for some in torch.from_numpy(codes).split(CODES)]
        return self.adapter.scaling.inverse(torch.cat(parts).double().numpy())

    def _mean(self, decoded: Tensor) -> Tensor:
        mean: Tensor = self.model.likelihood.mean(self.model.readout, decoded)
        return mean

    @torch.no_grad()
    def _by_block(self, records: Vectors, compute: Callable[[Batch], Tensor]) -> Numbers:
        found = []
        for block in records.blocks():
            source = self.adapter.prepare_float64(block)
            found.append(compute(source.batch(torch.arange(len(source)))).double())
        if not found:
            raise InputError("no rows", expected="at least one")
        whole: Numbers = torch.cat(found).numpy()
        return whole
