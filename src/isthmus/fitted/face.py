"""The verbs that every domain has, over a few that a domain supplies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from isthmus.answers import Answers, html
from isthmus.bundle.in_memory import packed, unpacked
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import InputError, SettingError
from isthmus.fitted.anomaly import AnomalyScorer
from isthmus.fitted.codes import as_codes
from isthmus.fitted.evaluate import Evaluation
from isthmus.fitted.gallery import FoundRecords, Gallery
from isthmus.fitted.latent_prior import draw_codes
from isthmus.fitted.model import AdapterState, FittedAutoencoder
from isthmus.fitted.storage import BundleLayout
from isthmus.machine.hardware import named_device
from isthmus.tasks.coding import between
from isthmus.training.history import History

A = TypeVar("A", bound=AdapterState)
R = TypeVar("R", bound=Sized)
W = TypeVar("W")
F = TypeVar("F", bound="AutoencoderFace[Any, Any, Any]")


@dataclass(frozen=True, eq=False, repr=False)
class AutoencoderFace(ABC, Generic[A, R, W]):
    """A trained autoencoder as users meet it. Made by ``fit`` or ``load``; nothing in it changes.

    ``A`` is the domain's adapter, ``R`` its records, and ``W`` what records are written as. A domain supplies the
    public ``fit``, ``encode`` and ``evaluate`` and the hooks below them, and adds verbs of its own. Wherever records
    are taken, so is anything that ``_read`` turns into records.

    Attributes:
        fitted: everything that was learned.
    """

    fitted: FittedAutoencoder[A]

    code_dtype: ClassVar[torch.dtype] = torch.float32
    """The precision in which codes are decoded."""

    write_options: ClassVar[tuple[str, ...]] = ()
    """Keywords of ``decode`` that choose how this domain writes records."""

    sample_options: ClassVar[Mapping[str, Any]] = {}
    """Their defaults in ``sample``, where they differ."""

    # --- what a domain supplies ------------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def fit(cls: type[F], records: Any, /, *choices: Any, **settings: Any) -> F:
        """Train a model. Every domain has the arguments below beside its own.

        Args:
            records: what to learn.
            choices: ``model``, the name of a builder.
            settings: keywords of the builder, and those below.

        Every ``fit`` also takes ``validation``, the share of the records that is held out to choose the best epoch
        (0.1); ``contamination``, the share of normal records that ``is_anomaly`` is expected to flag (0.05);
        ``gallery``, whether ``search`` can find the records afterwards, for which the bundle keeps their codes (True);
        ``seed``, ``device``, ``precision``, ``progress``, ``checkpoints``, ``resume`` and ``time_limit``, how training
        runs (see ``isthmus.training.run.Run``); or ``run``, all of these as one object (None).

        Raises:
            SettingError: no such model, or a setting that it does not know or cannot have.
            InputError: records that cannot be read or trained on.
        """

    @abstractmethod
    def encode(self, records: Any, /) -> Float32[np.ndarray, "records code"]:
        """One code a record, float32, in their order: the best single guess, the same at every call.

        Raises:
            InputError: records that cannot be read, or a model without codes.
        """

    @abstractmethod
    def evaluate(self, records: Any, /, *, samples: int = 0, seed: int = 0) -> Evaluation:
        """How well held-out records are encoded and reconstructed.

        Args:
            records: that the model was not trained on.
            samples: importance samples a record, for a tighter bound of the likelihood; 0 leaves it out.
            seed: of the random draws.

        Raises:
            SettingError: a number of samples below 0, or samples of a model without a posterior.
        """

    @classmethod
    @abstractmethod
    def _layout(cls) -> BundleLayout[A]:
        """How bundles of this domain are laid out."""

    @abstractmethod
    def _read(self, source: Any) -> R:
        """Records from anything that users may give; records are returned as they are. Raises ``InputError``."""

    @abstractmethod
    def _codes(self, records: R) -> Tensor:
        """The best guess of each record's code, in the precision in which codes are decoded, on the CPU."""

    @abstractmethod
    def _write(self, codes: Tensor, seed: int, **options: Any) -> W:
        """What codes stand for. ``seed`` is for domains that draw; ``options`` are among ``write_options``."""

    @abstractmethod
    def _names(self, records: R) -> tuple[Sequence[str] | None, Sequence[str] | None]:
        """What ``search`` calls each record, and what it is labelled; None for none."""

    @abstractmethod
    def _anomaly_scores(self, records: R) -> Tensor:
        """By ``anomaly_scorer``."""

    def __getstate__(self) -> dict[str, Any]:
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "fitted"}
        return {"own": own, "content": packed(self._layout().content(self.fitted))}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        fitted = self._layout().restored(unpacked(state["content"]))
        self.__dict__.update(state["own"], fitted=fitted)

    # --- what every domain has -------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.fitted.summary()}>"

    def _repr_html_(self) -> str:
        return html.paragraph(repr(self).strip("<>")) + self.history._repr_html_()

    @property
    def adapter(self) -> A:
        """What turns records into batches, fitted to the training records."""
        return self.fitted.adapter

    @property
    def model(self) -> Autoencoder:
        """The network, in evaluation mode."""
        return self.fitted.model

    @property
    def builder(self) -> str:
        """The name of the model, as in Python."""
        return self.fitted.builder

    @property
    def settings(self) -> Mapping[str, Any]:
        """All keywords of the builder."""
        return self.fitted.settings

    @property
    def facts(self) -> Mapping[str, Any]:
        """How many records were trained on, the seed, and what else the domain keeps."""
        return self.fitted.facts

    @property
    def history(self) -> History:
        """The course of the training, epoch by epoch."""
        return self.fitted.history

    @property
    def code_width(self) -> int:
        """How many numbers a code has.

        Raises:
            InputError: the model has no codes.
        """
        return self.fitted.code_width

    @property
    def gallery(self) -> Gallery:
        """What ``search`` looks in.

        Raises:
            InputError: there is none.
        """
        if self.fitted.gallery is None:
            why = self._left_out("codes to search among")
            raise InputError(
                f"a model without records to search in{why}", remedy="give it some with with_gallery(records)"
            )
        return self.fitted.gallery

    @property
    def anomaly_scorer(self) -> AnomalyScorer:
        """What ``anomaly_scores`` compares with, and its threshold.

        Raises:
            InputError: there is none.
        """
        if self.fitted.anomaly_scorer is None:
            why = self._left_out("anomaly threshold")
            raise InputError(
                f"a model without an anomaly scorer{why}", expected="one with codes, fitted to 2 records or more"
            )
        return self.fitted.anomaly_scorer

    def _left_out(self, what: str) -> str:
        return ", for its fit was interrupted before that" if what in self.facts.get("left_out", ()) else ""

    def decode(self, codes: Any, *, seed: int = 0, **options: Any) -> W:
        """The records that codes stand for.

        Args:
            codes: shape (n, ``code_width``).
            seed: of the random draws; most domains draw nothing.
            options: how this domain writes, if it has a choice.

        Raises:
            InputError: codes of another width, or no numbers; NaN or infinity (a ``ValueRangeError``).
            SettingError: an option that the domain does not know.
        """
        wanted = as_codes(codes, self.code_width, dtype=self.code_dtype)
        return self._written(wanted, seed, options)

    def reconstruct(self, records: Any, /, *, seed: int = 0, **options: Any) -> W:
        """Records after they went through their codes: ``decode(encode(records))``. Raises what both raise."""
        return self._written(self._coded(records), seed, options)

    def sample(self, n: int, *, seed: int = 0, prior: str = "fitted", **options: Any) -> W:
        """New records, from codes drawn at random.

        Args:
            n: how many.
            seed: the same seed gives the same records.
            prior: ``fitted`` draws codes from a mixture over the codes of the training records; ``standard`` from the
                model's own prior, which deterministic models lack.
            options: how this domain writes, if it has a choice.

        Raises:
            SettingError: fewer than one, or a prior that this model lacks.
            InputError: the model has no codes.
        """
        self.fitted.check_codes()
        codes = draw_codes(self.model, self.fitted.latent_prior, n, seed=seed, prior=prior)
        return self._written(codes.to(self.code_dtype), seed, {**self.sample_options, **options})

    def interpolate(self, a: Any, b: Any, steps: int = 7, *, seed: int = 0, **options: Any) -> W:
        """What lies between two records: points of the straight line between their codes.

        Args:
            a: one record.
            b: another.
            steps: how many points, both ends among them.
            seed: of the random draws.
            options: how this domain writes, if it has a choice.

        Raises:
            SettingError: fewer than 2 steps.
            InputError: more than one record for an end.
        """
        ends = [self._coded(one) for one in (a, b)]
        if any(len(end) != 1 for end in ends):
            raise InputError(f"{len(ends[0])} and {len(ends[1])} records", expected="one for each end")
        return self._written(between(ends[0][0], ends[1][0], steps), seed, options)

    def search(self, records: Any, /, k: int = 10, *, metric: str | None = None) -> Answers[FoundRecords]:
        """The records of the gallery whose codes are nearest.

        Args:
            records: the queries.
            k: how many answers.
            metric: how codes are compared: "l2", "cosine" or "ip"; by default as the domain does.

        Returns:
            The records found for each query, also for a single one, nearest first: a sequence of sequences of
            ``SearchHit`` (item, row, score, label), and one table. Fewer where the gallery has fewer.

        Raises:
            InputError: there is no gallery.
            SettingError: ``k`` below 1, or an unknown metric.
        """
        self.fitted.check_codes()
        gallery = self.gallery
        return gallery.search(self._coded(records).float(), k, metric)

    def with_gallery(self: F, records: Any, /, *, codes: Any = None) -> F:
        """The same model with other records to search in; this one does not change.

        Args:
            records: to be found.
            codes: of these records, where they are known already.

        Raises:
            InputError: the numbers of codes and records differ. Otherwise what ``encode`` raises.
        """
        read = self._read(records)
        found = self._codes(read).float() if codes is None else as_codes(codes, self.code_width)
        names, labels = self._names(read)
        gallery = Gallery(found, names, labels, self._layout().gallery.metric)
        if len(gallery) != len(read):
            raise InputError(f"{len(gallery)} codes of {len(read)} records", expected="one for each")
        return replace(self, fitted=replace(self.fitted, gallery=gallery))

    def anomaly_scores(self, records: Any, /) -> Float64[np.ndarray, " records"]:
        """How anomalous each record is, nats; higher is more anomalous.

        Raises:
            InputError: the model has no anomaly scorer, or what ``encode`` raises.
        """
        scores: Float64[np.ndarray, " records"] = self._anomaly_scores(self._read(records)).numpy()
        return scores

    def is_anomaly(self, records: Any, /) -> Bool[np.ndarray, " records"]:
        """Whether each record scores above the threshold, as the share ``contamination`` of normal ones is expected
        to. Raises what ``anomaly_scores`` raises."""
        return self.anomaly_scores(records) > self.anomaly_scorer.threshold.value

    def save(self, path: str | Path) -> None:
        """Save as a bundle, whole or not at all. Raises what ``isthmus.bundle.write`` raises."""
        self._layout().write(path, self.fitted)

    @classmethod
    def load(cls: type[F], path: str | Path, *, device: str = "cpu") -> F:
        """What was saved.

        Args:
            path: of the bundle.
            device: where its questions are answered: ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` takes CUDA where
                there is a device.

        Raises:
            BundleError: a directory that is truncated, altered, foreign or too new.
            SettingError: a device that is not there.
        """
        place, found = named_device(device), cls._layout().read(path)
        found.model.to(place)
        return cls(found)

    def _coded(self, records: Any) -> Tensor:
        self.fitted.check_codes()
        return self._codes(self._read(records))

    def _written(self, codes: Tensor, seed: int, options: Mapping[str, Any]) -> W:
        for name in options:
            if name not in self.write_options:
                known = ", ".join(self.write_options) or "no options"
                raise SettingError(f"option {name!r}", expected=f"{known} of {type(self).__name__}")
        return self._write(codes, seed, **options)
