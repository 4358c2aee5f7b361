"""A detector of anomalies in tables whose settings need no labels.

detector = Detector.fit("normal.csv", contamination=0.01)
detector.anomaly_scores("new.csv"), detector.is_anomaly("new.csv")
detector.save("detector.bundle")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from isthmus.answers import html
from isthmus.bundle.in_memory import packed, unpacked
from isthmus.cards import CardWords
from isthmus.fitted.p_values import NormalScores
from isthmus.plots import Missing, Panel, training_panels
from isthmus.plots.scores import draw_scores
from isthmus.reprs import described
from isthmus.tasks.threshold import Threshold
from isthmus.training.history import History
from isthmus.training.loggers import Log
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus_vectors.card import DETECTOR
from isthmus_vectors.columns import Columns
from isthmus_vectors.detection import fit, storage
from isthmus_vectors.detection.fit import FittedDetector
from isthmus_vectors.vectors import Vectors


@final
@dataclass(frozen=True, eq=False, repr=False)
class Detector:
    """Created by ``fit`` or ``load``; immutable. Scores of detectors with different seeds can be averaged by the
    caller.

    Attributes:
        fitted: the ensemble, the known rows, scales and threshold.
        card_words: text of the model card for detectors.
    """

    card_words: ClassVar[CardWords] = DETECTOR

    fitted: FittedDetector

    @classmethod
    def fit(
        cls,
        vectors: Any,
        *,
        columns: Columns | None = None,
        drop: Columns = (),
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        contamination: float = 0.05,
        method: str = "quantile",
        scaling: str = "standard",
        seed: int = 0,
        device: str = "cpu",
        precision: str = "fp32",
        progress: Progress | bool = True,
        checkpoints: str | Path | None = None,
        resume: bool = False,
        time_limit: float | None = None,
        log: Log | None = None,
        run: Run | None = None,
        **settings: Any,
    ) -> Detector:
        """Train a detector on rows that are assumed to be normal.

        Args:
            vectors: dense rows, or anything that ``Vectors.read`` accepts: a file, a table, an array.
            columns: names of the columns to train on; positions, for rows without names. None for all. The detector
                remembers them: later they are found by name, and other columns are ignored.
            drop: names or positions of columns to leave out, such as ids and labels.
            encoding, delimiter, header: format of a text file, if it is not detected correctly; remembered, too.
            contamination: share of normal rows that may be flagged as anomalies.
            method: method of the threshold, see ``Threshold.fit``.
            scaling: ``standard``: columns with mean 0 and standard deviation 1; ``robust``: first scaled by median and
                quartiles with extreme values compressed, for rows that may contain anomalies.
            seed, device, precision, checkpoints, resume, time_limit: how training is run; see ``isthmus.training.run``.
            log: called with the record of each epoch; see ``isthmus.training.loggers``.
            progress: whether to show the progress, or a ``Progress`` object that receives it.
            run: all of these as one object.
            settings: keywords of ``masked_ensemble``; ``epochs`` defaults to about 600 steps of training.

        Returns:
            The fitted detector.

        Raises:
            InputError: sparse rows, or fewer than 16.
            SettingError: an unknown setting, a value out of range, or fewer than 2 members.
            ValueRangeError: numbers that are not finite.
        """
        usual = Run(device="cpu", precision="fp32")
        how = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit, log, default=usual)
        rows = Vectors.for_training(vectors, columns, drop, encoding=encoding, delimiter=delimiter, header=header)
        return cls(fit.fit(rows, contamination, method, scaling, how, settings))

    def __getstate__(self) -> dict[str, Any]:
        return packed(storage.content(self.fitted))

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__["fitted"] = storage.restored(unpacked(state))

    def __repr__(self) -> str:
        return described(self, self.fitted.summary())

    def _repr_html_(self) -> str:
        return html.paragraph(repr(self).strip("<>")) + self.history._repr_html_()

    @property
    def threshold(self) -> Threshold:
        """The score above which a row is flagged."""
        return self.fitted.threshold

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the training columns; None if they had none."""
        return self.fitted.adapter.columns

    @property
    def facts(self) -> Mapping[str, Any]:
        """The history of the training, quantiles of the scores of the training rows, and warnings."""
        return self.fitted.facts

    def panels(self) -> list[Panel | Missing]:
        """The panels of ``isthmus.plots.overview``, the picture that ``isthmus plot`` draws.

        Returns:
            The training curves, and the scores of the training rows with the threshold; or the reason why a panel is
            missing.
        """
        scores = self.facts.get("normal_scores")
        if not scores:
            return [*training_panels(self.history), Missing("anomaly scores", "saved by an earlier version")]
        value, share = self.threshold.value, self.threshold.contamination
        panel = Panel("anomaly scores", lambda axes: draw_scores(axes, scores, value, share, "the training rows"))
        return [*training_panels(self.history), panel]

    @property
    def history(self) -> History:
        """The history of the training."""
        return History.from_json(dict(self.fitted.facts["training"]))

    def anomaly_scores(self, vectors: Any) -> Float64[np.ndarray, " rows"]:
        """Anomaly scores of rows. A row's score does not depend on the other rows of the call.

        Returns:
            The mean over the scorers of −log of the share of known rows with at least this score, in nats; higher is
            more anomalous.

        Raises:
            InputError: sparse rows, or rows of another width.
            ColumnError: a column that the rows lack.
            ValueRangeError: numbers that are not finite.
        """
        each = self.fitted.scorers.scores(self._values(vectors))
        scores: Float64[np.ndarray, " rows"] = self.fitted.ranks.average(each).numpy()
        return scores

    def anomaly_p_values(self, scores: Any, /) -> Float64[np.ndarray, " rows"]:
        """How often normal rows score as high: ``anomaly_p_values(anomaly_scores(rows))``.

        Args:
            scores: as ``anomaly_scores`` returns them.

        Returns:
            Conformal p-values, the share of the training rows that score at least as high, each scored without itself;
            lower is more anomalous. If new normal rows are like these, about a share a of them has a p-value of a or
            less. See ``isthmus.fitted.p_values``.

        Raises:
            InputError: other than one number for each row, or a bundle of version 0.1.
        """
        quantiles = tuple(map(float, self.facts.get("normal_scores", ())))
        return NormalScores.from_json(self.facts.get("normal_tail"), quantiles).p_values(scores)

    def score_samples(self, vectors: Any) -> Float64[np.ndarray, " rows"]:
        """−``anomaly_scores``: higher is more normal, as in scikit-learn. Raises the errors of ``anomaly_scores``."""
        return -self.anomaly_scores(vectors)

    def is_anomaly(self, vectors: Any) -> Bool[np.ndarray, " rows"]:
        """True for rows whose score is above ``threshold``. Raises the errors of ``anomaly_scores``."""
        return self.anomaly_scores(vectors) > self.threshold.value

    def predict(self, vectors: Any) -> Int64[np.ndarray, " rows"]:
        """−1 for anomalies and 1 for the rest, as in scikit-learn. Raises the errors of ``anomaly_scores``."""
        return np.where(self.is_anomaly(vectors), -1, 1)

    def explain(self, vectors: Any) -> Float64[np.ndarray, "rows width"]:
        """−log p of each number given the rest of its row, nats, averaged over members: high in the columns that make a
        row anomalous. Raises the errors of ``anomaly_scores``."""
        nats: Float64[np.ndarray, "rows width"] = self.fitted.scorers.columns(self._values(vectors)).numpy()
        return nats

    def save(self, path: str | Path, *, card: bool = True) -> None:
        """Save as a bundle, completely or not at all; the known rows are in it.

        Args:
            path: path of the bundle.
            card: whether to write a model card, ``README.md``, into it.

        Raises:
            InputError: the path exists and is not a bundle; and the other errors of ``bundle.write``.
        """
        storage.write(path, self.fitted, self.card_words, card)

    @classmethod
    def load(cls, path: str | Path) -> Detector:
        """Load what was saved.

        Raises:
            BundleError: the directory is truncated, altered, foreign or too new.
        """
        return cls(storage.read(path))

    def _values(self, vectors: Any) -> Float64[Tensor, "rows width"]:
        return self.fitted.values(self.fitted.adapter.rows(vectors))
