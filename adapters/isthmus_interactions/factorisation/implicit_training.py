"""Training by ``implicit``, whose factors are copied; the only file that imports it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix
from torch import nn

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.readouts import LinearReadout
from isthmus.errors import MissingLibraryError, NonFiniteLossError
from isthmus.machine.devices import check_able, moved
from isthmus.models.linear import bags_matrix
from isthmus.protocols import Source
from isthmus.reprs import brief
from isthmus.training.history import History
from isthmus.training.interrupts import StoppedError, StopRequest, interruptible
from isthmus.training.run import Run, Validation
from isthmus_interactions.csr import Csr
from isthmus_interactions.factorisation.pairwise import Opponents

REMEDY = "train with more regularisation or a smaller learning rate"

Record = dict[str, float | int | str]


@dataclass(frozen=True)
class Library:
    """The parts of ``implicit`` that are used, and of ``threadpoolctl``, which it depends on.

    Attributes:
        als, bpr: the classes of the models on the CPU.
        failure: raised if factors are NaN.
        limits: limits the threads of a BLAS.
    """

    als: Any
    bpr: Any
    failure: type[Exception]
    limits: Any


class _EnoughError(Exception):
    """Raised between two passes to leave the loop of ``implicit``."""


@dataclass
class _Watch:
    """Records each pass, and ends the training on Ctrl-C or at the time limit."""

    run: Run
    history: History
    stop: StopRequest
    last: int
    started: float
    record: dict[str, float | int | str] | None = None

    def __call__(self, iteration: int, seconds: float, *_: Any) -> None:
        """Called by ``implicit`` after each pass."""
        self.flush()
        self.record = {"epoch": iteration + 1, "phase": "train", "seconds": float(seconds)}
        late = self.run.time_limit is not None and time.perf_counter() - self.started > self.run.time_limit
        if (self.stop.requested or late) and iteration + 1 < self.last:
            self.history.interrupted, self.history.out_of_time = self.stop.requested, late and not self.stop.requested
            raise _EnoughError

    def score(self, validation: Validation, model: nn.Module) -> None:
        """Add the score to the record of the last pass, unless a signal asks to finish quickly."""
        record = self.record
        assert record is not None
        self.stop.attempt(lambda: record.update({validation.name: validation.score(model)}))

    def flush(self) -> None:
        """Report the record of the previous pass, which was not the last one."""
        if self.record is not None:
            self.history.take(self.record)
            self.run.progress.epoch(self.record)


@brief
@dataclass(frozen=True)
class ImplicitRecipe:
    """An autoencoder whose readout is trained by ``implicit``.

    Attributes:
        model: its readout receives the factors of the items.
        trainer: name of the model in ``implicit``.
        settings: keywords of that model.
        readout: the readout of ``model``.
        opponents: the negative items of ``model``, for BPR.
    """

    model: Autoencoder
    trainer: Literal["als", "bpr"]
    settings: Mapping[str, Any]
    readout: LinearReadout
    opponents: Opponents | None = None

    @property
    def chooses_epoch(self) -> bool:
        """Whether the validation score chooses an epoch. It does not: the score is computed after the last pass."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Train on the CPU, copy the factors, and move the model to the device of the run.

        Ctrl-C and ``run.time_limit`` end the training after the current pass.

        Args:
            source: bags.
            run: seed, time limit, progress and checkpoints.
            validation: the score to compute at the end.

        Returns:
            The history of the training.

        Raises:
            MissingLibraryError: ``implicit`` is not installed.
            NonFiniteLossError: the factors became NaN or infinite.
        """
        check_able(run.torch_device(), f"{self.trainer}, whose users are solved for in double precision,", float64=True)
        made, started = library(), time.perf_counter()
        maker = made.als if self.trainer == "als" else made.bpr
        last = min(self.settings["iterations"], run.until or self.settings["iterations"])
        settings = {**self.settings, "iterations": last, "random_state": run.generator().initial_seed()}
        history = History(metric=validation.name if validation else None)
        run.progress.start(last, len(source), history.metric)
        try:
            with interruptible() as stop, stop.telling(lambda: "keeping the factors after this pass"):
                watch = _Watch(run, history, stop, last, started)
                matrix = bags_matrix(source, len(self.readout.weight))
                trained = maker(**settings)
                if not stop.attempt(lambda: _train(made, trained, matrix, watch)):
                    history.interrupted = True
                if trained.item_factors is None:
                    raise StoppedError(stop.number)
                self.load_factors(trained.item_factors, matrix)
                moved(self.model.eval(), run.torch_device())
                if watch.record is not None and validation:
                    watch.score(validation, self.model)
                watch.flush()
        finally:
            run.progress.stop()
        return history

    def load_factors(self, factors: npt.NDArray[np.floating[Any]], matrix: Csr) -> None:
        """Copy item factors into the readout, and for BPR the popularity of the items into the opponents.

        Args:
            factors: of ALS [width, code]; of BPR [width, code + 1], with the biases in the last column.
            matrix: the training data, shape (users, items).

        Raises:
            NonFiniteLossError: a factor is NaN or infinite.
        """
        table = torch.from_numpy(np.asarray(factors, np.float32))
        if not bool(table.isfinite().all()):
            raise NonFiniteLossError("factors that are NaN or infinite", remedy=REMEDY)
        code = self.readout.weight.shape[1]
        with torch.no_grad():
            self.readout.weight.copy_(table[:, :code])
            self.readout.bias.copy_(table[:, code] if table.shape[1] > code else torch.zeros(len(table)))
            if self.opponents is not None:
                counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
                self.opponents.shares.copy_(torch.from_numpy(counts / max(1, counts.sum())))


def library() -> Library:
    """The models of ``implicit`` on the CPU.

    Raises:
        MissingLibraryError: it is not installed, or cannot be imported.
    """
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from implicit.cpu.bpr import BayesianPersonalizedRanking
        from implicit.recommender_base import ModelFitError
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingLibraryError(
            f"als and bpr need implicit, which cannot be imported ({error})",
            remedy='pip install "isthmus[implicit]"',
        ) from error
    return Library(AlternatingLeastSquares, BayesianPersonalizedRanking, ModelFitError, threadpool_limits)


def _train(made: Library, model: Any, matrix: Csr, watch: _Watch) -> None:
    # Its own threads and those of the BLAS interfere.
    with made.limits(1, "blas"):
        try:
            model.fit(csr_matrix(matrix), show_progress=False, callback=watch)
        except _EnoughError:
            pass
        except made.failure as error:
            raise NonFiniteLossError(f"implicit: {error}", remedy=REMEDY) from error
