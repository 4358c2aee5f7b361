"""The state of every face: a trained autoencoder with its adapter, and what was fitted to its codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from isthmus.batch import Signal
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import InputError
from isthmus.fitted.anomaly import AnomalyScorer
from isthmus.fitted.codes import code_shape
from isthmus.fitted.gallery import Gallery
from isthmus.fitted.whitening import Whitening
from isthmus.reprs import counted, described, joined
from isthmus.training.history import History


@runtime_checkable
class AdapterState(Protocol):
    """The part of ``isthmus.protocols.Adapter`` that a fitted model needs."""

    @property
    def signal(self) -> Signal:
        """Shape of the model's input."""
        ...

    def state(self) -> Mapping[str, str]:
        """Documents by name, for the bundle."""
        ...


A = TypeVar("A", bound=AdapterState)

HELD_OUT = "validation_"
"""Prefix of the fact with the number of held-out records; the name of the records follows."""


@dataclass(frozen=True, eq=False, repr=False)
class FittedAutoencoder(Generic[A]):
    """A trained autoencoder with everything that a bundle contains. ``fit`` creates it, storage saves and loads it, and
    a face wraps it.

    Attributes:
        adapter: turns records into batches.
        model: the network, in evaluation mode.
        builder: name of the model's builder, as in Python.
        settings: all keywords of the builder.
        facts: number of training records, the seed, and under ``training`` the history.
        latent_prior: a Gaussian mixture fitted to the codes of the training records, for ``sample(prior="fitted")``.
        gallery: the records that ``search`` searches.
        anomaly_scorer: computes ``anomaly_scores``, and holds the threshold.
        whitening: mean and spreads of the codes of the training records, if ``search`` compares whitened codes.
    """

    adapter: A
    model: Autoencoder
    builder: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    latent_prior: FittedMixture | None = None
    gallery: Gallery | None = None
    anomaly_scorer: AnomalyScorer | None = None
    whitening: Whitening | None = None

    def __repr__(self) -> str:
        return described(self, self.summary())

    def summary(self) -> str:
        """The model, its codes and its data in one line."""
        codes = f"codes of {counted(self.code_width, 'number')}" if self.has_codes else "no codes"
        kind = next((name.removeprefix(HELD_OUT) for name in self.facts if name.startswith(HELD_OUT)), "records")
        trained = f"trained on {self.facts[kind]:,} {kind}" if kind in self.facts else ""
        found = "" if self.gallery is None else f"{len(self.gallery):,} records to search"
        return f"{self.builder}: {joined([codes, trained, found])}"

    @cached_property
    def history(self) -> History:
        """The history of the training."""
        return History.from_json(dict(self.facts["training"]))

    @cached_property
    def has_codes(self) -> bool:
        """Whether codes are rows of numbers. The output of a network without a bottleneck is as large as a record."""
        return len(self._code_shape) == 1

    @property
    def code_width(self) -> int:
        """The number of dimensions of a code.

        Raises:
            InputError: the model has no codes.
        """
        self.check_codes()
        return self._code_shape[0]

    def check_codes(self) -> None:
        """Raise an error if the model has no codes.

        Raises:
            InputError: the model has no codes.
        """
        if not self.has_codes:
            raise InputError(
                f"{self.builder} has no codes",
                expected="a model with a bottleneck",
                remedy="train another model, such as vanilla",
            )

    @cached_property
    def _code_shape(self) -> tuple[int, ...]:
        return code_shape(self.model, self.adapter.signal)
