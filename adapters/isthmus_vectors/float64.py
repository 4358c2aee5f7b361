"""Codes, reconstructions and likelihoods of a trained model, computed in fp64: what a row gets does not depend on the
rows beside it, not even in the last digit that fp32 shows."""

from __future__ import annotations

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
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.vectors import Vectors

Numbers = npt.NDArray[np.float64]

CODES = 1024
"""Codes that are decoded together."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A model in fp64, on the CPU, in evaluation mode, with its adapter."""

    model: Autoencoder
    adapter: VectorAdapter

    def codes(self, records: Vectors) -> Float64[np.ndarray, "rows code"]:
        """The best single guess of each row's code."""
        return self._each(records, lambda batch: self.model.encode(batch.inputs).point.flatten(1))

    def log_likelihoods(self, records: Vectors) -> Float64[np.ndarray, " rows"]:
        """log p(row | its code), nats, of the scaled row; higher where the model knows such rows."""
        return self._each(records, lambda batch: self.model.step(batch).log_likelihood[:, 0])

    def scaled(self, records: Vectors) -> Float64[np.ndarray, "rows width"]:
        """Reconstructions on the scale of the model."""
        return self._each(records, lambda batch: self._mean(self.model.step(batch).decoded))

    @torch.no_grad()
    def decoded(self, codes: Numbers) -> Float64[np.ndarray, "rows width"]:
        """Rows, in their own units, that codes stand for."""
        parts = [self._mean(self.model.decode(some)) for some in torch.from_numpy(codes).split(CODES)]
        return self.adapter.scaling.inverse(torch.cat(parts).double().numpy())

    def _mean(self, decoded: Tensor) -> Tensor:
        mean: Tensor = self.model.likelihood.mean(self.model.readout, decoded)
        return mean

    @torch.no_grad()
    def _each(self, records: Vectors, ask: Callable[[Batch], Tensor]) -> Numbers:
        found = []
        for block in records.blocks():
            source = self.adapter.exactly(block)
            found.append(ask(source.batch(torch.arange(len(source)))).double())
        if not found:
            raise InputError("no rows", expected="at least one")
        whole: Numbers = torch.cat(found).numpy()
        return whole
