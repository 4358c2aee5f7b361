"""Methods that all domains share, based on a few that each domain implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from isthmus.answers import Answers, html
from isthmus.bundle.in_memory import packed, unpacked
from isthmus.cards import CardWords
from isthmus.checked.arguments import checked_k, checked_seed, whole
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import InputError, SettingError
from isthmus.fitted.anomaly import AnomalyScorer
from isthmus.fitted.codes import as_codes
from isthmus.fitted.evaluate import Evaluation
from isthmus.fitted.gallery import FoundRecords, Gallery, Keys
from isthmus.fitted.latent_prior import draw_codes
from isthmus.fitted.model import AdapterState, FittedAutoencoder
from isthmus.fitted.storage import BundleLayout
from isthmus.machine.devices import named_device, put
from isthmus.tasks.coding import between
from isthmus.training.history import History

A = TypeVar("A", bound=AdapterState)
R = TypeVar("R", bound=Sized)
W = TypeVar("W")
F = TypeVar("F", bound="AutoencoderFace[Any, Any, Any]")


@dataclass(frozen=True, eq=False, repr=False)
class AutoencoderFace(ABC, Generic[A, R, W]):
    """A trained autoencoder as users meet it. Created by ``fit`` or ``load``; immutable.

    ``A`` is the domain's adapter, ``R`` its records, and ``W`` the type of decoded records. A domain implements
    ``fit``, ``encode``, ``evaluate`` and the hooks below, and may add methods. All methods that take records accept
    anything that ``_read`` can convert to records.

    Attributes:
        fitted: the state.
    """

    fitted: FittedAutoencoder[A]

    code_dtype: ClassVar[torch.dtype] = torch.float32
    """Precision of the codes that are decoded."""

    write_options: ClassVar[tuple[str, ...]] = ()
    """Keyword arguments of ``decode`` that control how this domain decodes."""

    sample_options: ClassVar[Mapping[str, Any]] = {}
    """Their defaults in ``sample``, if different."""

    card_words: ClassVar[CardWords] = CardWords()
    """What the model card says of bundles of this domain."""

    # --- implemented by each domain ---------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def fit(cls: type[F], records: Any, /, *choices: Any, **settings: Any) -> F:
        """Train a model. Each domain has the arguments below and its own.

        Args:
            records: training data.
            choices: ``model``, the name of a builder.
            settings: keywords of the builder, and those below.

        Every ``fit`` also takes ``validation``, the share of the records that is held out to choose the best epoch
        (0.1); ``contamination``, the expected share of normal records that ``is_anomaly`` flags (0.05); ``gallery``,
        whether ``search`` can find the records afterwards, for which the bundle contains their codes (True); ``seed``,
        ``device``, ``precision``, ``progress``, ``checkpoints``, ``resume``, ``time_limit`` and ``log``, which control
        the training (see ``isthmus.training.run.Run``); or ``run``, all of these as one object (None).

        Raises:
            SettingError: no such model, or a setting that it does not have or accept.
            InputError: records that cannot be read or trained on.
        """

    @abstractmethod
    def encode(self, records: Any, /) -> Float32[np.ndarray, "records code"]:
        """Encode records: one code per record, float32, in order. Encoding is deterministic.

        Raises:
            InputError: records that cannot be read, or a model without codes.
        """

    @abstractmethod
    def evaluate(self, records: Any, /, *, samples: int = 0, seed: int = 0) -> Evaluation:
        """Evaluate how well held-out records are encoded and reconstructed.

        Args:
            records: records that the model was not trained on.
            samples: importance samples per record, for a tighter bound of the likelihood; 0 skips it.
            seed: seed of the random draws.

        Returns:
            The metrics, with standard errors.

        Raises:
            SettingError: a negative number of samples, or samples for a model without a posterior.
        """

    @classmethod
    @abstractmethod
    def _layout(cls) -> BundleLayout[A]:
        """The layout of bundles of this domain."""

    @abstractmethod
    def _read(self, source: Any) -> R:
        """Convert any input to records; records are returned as they are. Raises ``InputError``."""

    @abstractmethod
    def _codes(self, records: R) -> Tensor:
        """The code of each record, in the precision in which codes are decoded, on the CPU."""

    @abstractmethod
    def _write(self, codes: Tensor, seed: int, **options: Any) -> W:
        """Decode codes. ``seed`` is for domains that sample; ``options`` are among ``write_options``."""

    @abstractmethod
    def _names(self, records: R) -> tuple[Sequence[str] | None, Sequence[str] | None]:
        """Names and labels of records for ``search``; None if there are none."""

    @abstractmethod
    def _anomaly_scores(self, records: R) -> Tensor:
        """Scores by ``anomaly_scorer``."""

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
        """The adapter, which turns records into batches."""
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
        """Number of training records, the seed, and further facts of the domain."""
        return self.fitted.facts

    @property
    def history(self) -> History:
        """The history of the training, epoch by epoch."""
        return self.fitted.history

    @property
    def code_width(self) -> int:
        """The number of dimensions of a code.

        Raises:
            InputError: the model has no codes.
        """
        return self.fitted.code_width

    @property
    def gallery(self) -> Gallery:
        """The records that ``search`` searches.

        Raises:
            InputError: there is no gallery.
        """
        if self.fitted.gallery is None:
            why = self._left_out("codes to search among")
            raise InputError(f"a model without records to search{why}", remedy="add some with with_gallery(records)")
        return self.fitted.gallery

    @property
    def anomaly_scorer(self) -> AnomalyScorer:
        """The scorer behind ``anomaly_scores``, with its threshold.

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
        return ", because fit was interrupted" if what in self.facts.get("left_out", ()) else ""

    def decode(self, codes: Any, *, seed: int = 0, **options: Any) -> W:
        """Decode codes to records.

        Args:
            codes: shape (n, ``code_width``).
            seed: seed of the random draws; most domains draw nothing.
            options: options of this domain for decoding.

        Returns:
            The decoded records.

        Raises:
            InputError: codes of another width, or not numbers; NaN or infinity (a ``ValueRangeError``).
            SettingError: an option that the domain does not have.
        """
        wanted = as_codes(codes, self.code_width, dtype=self.code_dtype)
        return self._written(wanted, seed, options)

    def reconstruct(self, records: Any, /, *, seed: int = 0, **options: Any) -> W:
        """Encode records and decode their codes: ``decode(encode(records))``. Raises the errors of both."""
        return self._written(self._coded(records), seed, options)

    def sample(self, n: int, *, seed: int = 0, prior: str = "fitted", **options: Any) -> W:
        """Generate new records from random codes.

        Args:
            n: number of records.
            seed: the same seed gives the same records.
            prior: ``fitted`` draws codes from a mixture fitted to the codes of the training records; ``standard`` draws
                from the model's own prior, which deterministic models do not have.
            options: options of this domain for decoding.

        Returns:
            The generated records.

        Raises:
            SettingError: fewer than one record, or a prior that this model does not have.
            InputError: the model has no codes.
        """
        self.fitted.check_codes()
        codes = draw_codes(self.model, self.fitted.latent_prior, n, seed=seed, prior=prior)
        return self._written(codes.to(self.code_dtype), seed, {**self.sample_options, **options})

    def interpolate(self, a: Any, b: Any, steps: int = 7, *, seed: int = 0, **options: Any) -> W:
        """Interpolate between two records: decode points on the straight line between their codes.

        Args:
            a: one record.
            b: another record.
            steps: number of points, including both ends.
            seed: seed of the random draws.
            options: options of this domain for decoding.

        Returns:
            The decoded records, from ``a`` to ``b``.

        Raises:
            SettingError: fewer than 2 steps.
            InputError: more than one record for an end.
        """
        ends = [self._coded(one) for one in (a, b)]
        if any(len(end) != 1 for end in ends):
            raise InputError(f"{len(ends[0])} and {len(ends[1])} records", expected="one for each end")
        points = between(ends[0][0], ends[1][0], whole("steps", steps, least=2))
        return self._written(points, seed, options)

    def search(self, records: Any, /, k: int = 10, *, metric: str | None = None) -> Answers[FoundRecords]:
        """The records of the gallery that are nearest, by their codes unless the domain compares something else.

        Args:
            records: the queries.
            k: how many answers.
            metric: how codes are compared: "l2", "cosine" or "ip"; by default the domain decides what is compared.

        Returns:
            The records found for each query (also for a single one), nearest first: a sequence of sequences of
            ``SearchHit`` (item, row, score, label), which is also one table. Fewer than k if the gallery has fewer
            records. ``percentiles`` says how many random pairs of the gallery are less similar, in percent.

        Raises:
            InputError: there is no gallery.
            SettingError: ``k`` below 1, or an unknown metric.
        """
        self.fitted.check_codes()
        k = checked_k(k)
        gallery, keys = self.gallery, self._keys if metric is None else None
        if keys is None:
            return gallery.search(self._coded(records).float(), k, metric)
        return keys.gallery.search(keys.keys(self._read(records)), k)

    def with_gallery(self: F, records: Any, /, *, codes: Any = None) -> F:
        """Return the same model with other records to search; this one does not change.

        Args:
            records: the records to search.
            codes: codes of these records, if they are already known.

        Returns:
            A model with a new gallery.

        Raises:
            InputError: the numbers of codes and records differ; and the errors of ``encode``.
        """
        read = self._read(records)
        found = self._codes(read).float() if codes is None else as_codes(codes, self.code_width)
        names, labels = self._names(read)
        gallery = Gallery(found, names, labels, self._layout().gallery.metric)
        if len(gallery) != len(read):
            raise InputError(f"{len(gallery)} codes of {len(read)} records", expected="one for each")
        return replace(self, fitted=replace(self.fitted, gallery=gallery))

    def anomaly_scores(self, records: Any, /) -> Float64[np.ndarray, " records"]:
        """How anomalous each record is, in nats; higher is more anomalous.

        Raises:
            InputError: the model has no anomaly scorer; and the errors of ``encode``.
        """
        scores: Float64[np.ndarray, " records"] = self._anomaly_scores(self._read(records)).numpy()
        return scores

    def anomaly_p_values(self, scores: Any, /) -> Float64[np.ndarray, " records"]:
        """How often normal records score as high: ``anomaly_p_values(anomaly_scores(records))``.

        Args:
            scores: as ``anomaly_scores`` returns them.

        Returns:
            Conformal p-values, the share of normal records that score at least as high; lower is more anomalous. If new
            normal records are like those that were held out, at most a share a of them has a p-value of a or less.
            Without held-out records (``validation=0``) the training records are compared with, and p-values are too
            low. See ``isthmus.fitted.p_values``.

        Raises:
            InputError: no anomaly scorer, a bundle of version 0.1, or other than one number for each record.
        """
        return self.anomaly_scorer.normal.p_values(scores)

    def is_anomaly(self, records: Any, /) -> Bool[np.ndarray, " records"]:
        """Whether the score of each record is above the threshold, which is expected for a share ``contamination`` of
        normal records. Raises the errors of ``anomaly_scores``."""
        return self.anomaly_scores(records) > self.anomaly_scorer.threshold.value

    def save(self, path: str | Path, *, card: bool = True) -> None:
        """Save as a bundle, completely or not at all, with a model card (``README.md``) unless ``card`` is False.
        Raises the errors of ``isthmus.bundle.write``."""
        self._layout().write(path, self.fitted, self.card_words, card)

    @classmethod
    def load(cls: type[F], path: str | Path, *, device: str = "cpu") -> F:
        """Load a saved model.

        Args:
            path: path of the bundle.
            device: where its questions are answered: ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` takes CUDA where
                there is a device.

        Raises:
            BundleError: the directory is truncated, altered, from another plugin, or from a newer version.
            SettingError: a device that is not there, or has too little memory.
        """
        named_device(device)
        found = cls._layout().read(path)
        put(found.model, device)
        return cls(found)

    @cached_property
    def _keys(self) -> Keys | None:
        return self._layout().keys(self.fitted)

    def _coded(self, records: Any) -> Tensor:
        self.fitted.check_codes()
        return self._codes(self._read(records))

    def _written(self, codes: Tensor, seed: int, options: Mapping[str, Any]) -> W:
        for name in options:
            if name not in self.write_options:
                known = ", ".join(self.write_options) or "no options"
                raise SettingError(f"option {name!r}", expected=f"{known} of {type(self).__name__}")
        return self._write(codes, checked_seed(seed), **options)
