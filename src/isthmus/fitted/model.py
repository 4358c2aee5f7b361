"""The state below every face: a trained autoencoder with its adapter, and what was learned from its codes."""

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
from isthmus.reprs import counted, described, joined
from isthmus.training.history import History


@runtime_checkable
class AdapterState(Protocol):
    """What a fitted model asks of its adapter. Every ``isthmus.protocols.Adapter`` has it."""

    @property
    def signal(self) -> Signal:
        """Sizes of what the model reads."""
        ...

    def state(self) -> Mapping[str, str]:
        """Documents by name, for the bundle."""
        ...


A = TypeVar("A", bound=AdapterState)

HELD_OUT = "validation_"
"""Begins the fact that says how many records were held out, and ends with what they are."""


@dataclass(frozen=True, eq=False, repr=False)
class FittedAutoencoder(Generic[A]):
    """A trained autoencoder and everything that a bundle keeps of it. ``fit`` makes it, storage writes and reads it, a
    face holds it.

    Attributes:
        adapter: turns records into batches.
        model: the network, in evaluation mode.
        builder: the name of the model's builder, as in Python.
        settings: all keywords of the builder.
        facts: how many records were trained on, the seed, and under ``training`` the history.
        latent_prior: a Gaussian mixture fitted to the codes of the training records, for ``sample(prior="fitted")``.
        gallery: the records that ``search`` looks in.
        anomaly_scorer: what ``anomaly_scores`` compares with, and the threshold.
    """

    adapter: A
    model: Autoencoder
    builder: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    latent_prior: FittedMixture | None = None
    gallery: Gallery | None = None
    anomaly_scorer: AnomalyScorer | None = None

    def __repr__(self) -> str:
        return described(self, self.summary())

    def summary(self) -> str:
        """The model, its codes and its data, in a line."""
        codes = f"codes of {counted(self.code_width, 'number')}" if self.has_codes else "no codes"
        kind = next((name.removeprefix(HELD_OUT) for name in self.facts if name.startswith(HELD_OUT)), "records")
        trained = f"trained on {self.facts[kind]:,} {kind}" if kind in self.facts else ""
        found = "" if self.gallery is None else f"{len(self.gallery):,} to search in"
        return f"{self.builder}: {joined([codes, trained, found])}"

    @cached_property
    def history(self) -> History:
        """The course of the training."""
        return History.from_json(dict(self.facts["training"]))

    @cached_property
    def has_codes(self) -> bool:
        """Whether a code is a row of numbers; what a network without a bottleneck passes on is as large as a record."""
        return len(self._code_shape) == 1

    @property
    def code_width(self) -> int:
        """How many numbers a code has.

        Raises:
            InputError: the model has no codes.
        """
        self.check_codes()
        return self._code_shape[0]

    def check_codes(self) -> None:
        """Refuse to ask a model for codes that it does not have.

        Raises:
            InputError: the model has no codes.
        """
        if not self.has_codes:
            raise InputError(
                f"{self.builder} has no codes", expected="a model with a bottleneck", remedy="train vanilla, say"
            )

    @cached_property
    def _code_shape(self) -> tuple[int, ...]:
        return code_shape(self.model, self.adapter.signal)
