"""The settings of one model, searched on held-out users."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isthmus.errors import SettingError
from isthmus.reprs import counted, described, joined
from isthmus.training.interrupts import StoppedError, interruptible
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.splits import FoldIn
from isthmus_interactions.tuning.study import Study, Trial
from isthmus_interactions.tuning.trial import TuningSearch, sampler_module


@dataclass(frozen=True, repr=False)
class TuningResult:
    """A search, finished or not.

    Attributes:
        model: the builder's name, as in Python.
        metric: what the scores are.
        fixed: settings that were given and not searched.
        trials: in their order; the first has the defaults.
        interrupted: whether Ctrl-C ended it.
    """

    model: str
    metric: str
    fixed: Mapping[str, Any]
    trials: tuple[Trial, ...]
    interrupted: bool = False

    def __repr__(self) -> str:
        # Trials are few, and none of them is large.
        score = self.best.score if self.trials else None
        best = "" if score is None else f"best {self.metric} {score:.4f}"
        return described(self, joined([self.model, counted(len(self.trials), "trial"), best]))

    @property
    def best(self) -> Trial:
        """The trial with the highest score, the first of equal ones."""
        return max(self.trials, key=lambda trial: (-math.inf if trial.score is None else trial.score, -trial.number))

    @property
    def settings(self) -> dict[str, Any]:
        """Keywords for ``Recommender.fit``: those of the best trial, and the fixed ones."""
        return {**self.fixed, **self.best.settings}


def tune(
    data: Interactions | Any,
    model: str,
    *,
    trials: int = 20,
    study: str | Path | None = None,
    metric: str = "ndcg@100",
    validation: FoldIn | float = 0.1,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    progress: Progress | bool = True,
    time_limit: float | None = None,
    run: Run | None = None,
    on_trial: Callable[[TuningResult], None] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    **fixed: Any,
) -> TuningResult:
    """Search the settings of one model, by its score among users who do not train.

    The first trial has the defaults, so that the best is never below them. Trained models are scored after every epoch,
    and a trial that lags behind is ended early. Ctrl-C ends the search: the trials that are done are kept, the one in
    flight is dropped. With ``study`` the same call goes on where an earlier one ended, up to ``trials`` in all, and
    tries what it would have tried without the interruption.

    Args:
        data: interactions, or anything that ``Interactions.read`` takes. Give it no test users: all of them are used.
        model: a builder's name; ``isthmus_interactions.tuning.spaces`` says what is searched.
        trials: how many in all, those of an earlier call included.
        study: a directory to keep the trials in; JSON, nothing else.
        metric: what is to be high; see ``isthmus.tasks.evaluation``.
        validation: users to score by, or the share of ``data`` to hold out, as in ``Recommender.fit``.
        seed, device, precision: how training runs, see ``isthmus.training.run.Run``.
        progress: whether it is shown, or a ``Progress`` that is called instead.
        time_limit: seconds that this call may take; a trial under way is ended at its last whole epoch. A model in
            closed form is not stopped in the middle. None sets no limit.
        run: all of these as one object; checkpoints are not written.
        on_trial: called after every trial with the search so far.
        encoding, delimiter, header: how a file of text is written, where that is not found out.
        fixed: settings that are given and not searched, such as ``epochs``.

    Returns:
        The trials so far; ``settings`` are keywords for ``Recommender.fit``.

    Raises:
        MissingLibraryError: Optuna is not installed.
        SettingError: a model without settings to search, settings that it cannot have, too few users to hold some out,
            not one epoch in the given time, or a study of other data, model, metric, seed or settings.
        SourceError: ``study`` is something else.
        KeyboardInterrupt: Ctrl-C before the first trial was done.
    """
    if trials < 1:
        raise SettingError(f"trials={trials}", expected="at least 1")
    sampler_module()
    how = Run.gather(run, seed, device, precision, progress, time_limit=time_limit)
    limit, how = how.time_limit, replace(how, checkpoints=None, resume=False, time_limit=None)
    deadline = math.inf if limit is None else time.perf_counter() + limit
    whole = Interactions.read(data, encoding=encoding, delimiter=delimiter, header=header)
    search = TuningSearch.of(whole, model, metric, validation, how, fixed)
    kept = Study(None if study is None else Path(study), search.head)
    with interruptible() as stop, stop.telling(lambda: f"keeping the {len(kept.trials)} trials that are done"):
        try:
            while len(kept.trials) < trials and (left := deadline - time.perf_counter()) > 0 and not stop.requested:
                trial = search.trial(kept.trials, None if limit is None else left)
                if trial is None:
                    break
                with stop.held():
                    kept.add(trial)
                if on_trial is not None:
                    on_trial(_so_far(search, kept))
        except KeyboardInterrupt:
            if not kept.trials:
                raise
            interrupted = True
        else:
            interrupted = stop.requested
    if interrupted and not kept.trials:
        raise StoppedError(stop.number)
    if not kept.trials:
        raise SettingError(f"{model} has no epoch after {limit:g} seconds", expected="time for one epoch at least")
    return _so_far(search, kept, interrupted)


def _so_far(search: TuningSearch, kept: Study, interrupted: bool = False) -> TuningResult:
    return TuningResult(search.name, search.metric, search.fixed, tuple(kept.trials), interrupted)
