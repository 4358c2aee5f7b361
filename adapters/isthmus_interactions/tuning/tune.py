"""Search for the best settings of one model on held-out users."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from isthmus.checked.arguments import path_of, whole
from isthmus.errors import SettingError
from isthmus.reprs import counted, described, joined
from isthmus.training.interrupts import StoppedError, interruptible
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus_interactions.files.reading import Reading, Weights
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.splits import FoldIn
from isthmus_interactions.tuning.study import Study, Trial
from isthmus_interactions.tuning.trial import TuningSearch, sampler_module
from isthmus_interactions.vocabularies import Ids


@dataclass(frozen=True, repr=False)
class TuningResult:
    """Result of a search, finished or interrupted.

    Attributes:
        model: name of the builder, as in Python.
        metric: metric of the scores.
        fixed: settings that were given instead of searched.
        trials: in order; the first one uses the defaults.
        interrupted: whether the search was ended by Ctrl-C.
    """

    model: str
    metric: str
    fixed: Mapping[str, Any]
    trials: tuple[Trial, ...]
    interrupted: bool = False

    def __repr__(self) -> str:
        # There are few trials, and none of them is large.
        score = self.best.score if self.trials else None
        best = "" if score is None else f"best {self.metric} {score:.4f}"
        return described(self, joined([self.model, counted(len(self.trials), "trial"), best]))

    @property
    def best(self) -> Trial:
        """The trial with the highest score; the first one among equal scores."""
        return max(self.trials, key=lambda trial: (-math.inf if trial.score is None else trial.score, -trial.number))

    @property
    def settings(self) -> dict[str, Any]:
        """Keywords for ``Recommender.fit``: the settings of the best trial and the fixed ones."""
        return {**self.fixed, **self.best.settings}


def tune(
    data: Interactions | Any,
    model: str,
    *,
    user: str | int | None = None,
    item: str | int | None = None,
    value: str | int | None = None,
    time: str | int | None = None,
    keep: str | float | None = None,
    weights: Weights | None = None,
    ordered: bool | None = None,
    users: Ids | None = None,
    items: Ids | None = None,
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
    """Search for the best settings of one model by its score on held-out users.

    The first trial uses the defaults, so the result is never worse than they are. Trained models are scored after every
    epoch, and a trial that falls behind is stopped early. Ctrl-C ends the search: finished trials are kept, and the
    running one is dropped. With ``study`` the same call continues an earlier search up to ``trials`` in all, with the
    same trials as without the interruption.

    Args:
        data: interactions, or anything that ``Interactions.read`` accepts. All users are used, so do not include test
            users.
        model: name of a builder; see ``isthmus_interactions.tuning.spaces`` for the settings that are searched.
        user, item, value, time, keep, weights, ordered, users, items: how to read ``data``, as in ``Recommender.fit``.
        trials: total number of trials, including those of an earlier call.
        study: a directory in which to store the trials, as JSON.
        metric: the metric to maximise; see ``isthmus.tasks.evaluation``.
        validation: held-out users, or the share to hold out: of the events, after one moment for all users, if times
            are known; otherwise of the users, whose last item is hidden if the order is known.
        seed, device, precision: how training is run, see ``isthmus.training.run.Run``.
        progress: whether to show the progress, or a ``Progress`` object that receives it.
        time_limit: seconds for this call; a running trial then ends after its last complete epoch. Models with a
            closed-form solution are not interrupted. None sets no limit.
        run: all of these as one object; checkpoints are not written.
        on_trial: called after every trial with the search so far.
        encoding, delimiter, header: how a file of text is written, where that is not found out.
        fixed: settings that are given and not searched, such as ``epochs``.

    Returns:
        The trials so far; ``settings`` of the result are keywords for ``Recommender.fit``.

    Raises:
        MissingLibraryError: Optuna is not installed.
        SettingError: the model has no settings to search or cannot have the given ones, there are too few users to hold
            some out, the time limit is too short for one epoch, or the study has other data, model, metric, seed or
            settings.
        SourceError: ``study`` exists and is not a study.
        KeyboardInterrupt: Ctrl-C before the first trial was finished.
    """
    trials = whole("trials", trials, least=1)
    place = None if study is None else path_of("study", study)
    if on_trial is not None and not callable(on_trial):
        raise SettingError(f"on_trial={on_trial!r}", expected="a function, or None")
    sampler_module()
    how = Run.gather(run, seed, device, precision, progress, time_limit=time_limit)
    limit, how = how.time_limit, replace(how, checkpoints=None, resume=False, time_limit=None)
    deadline = math.inf if limit is None else perf_counter() + limit
    columns: Reading = {"user": user, "item": item, "value": value, "time": time}
    told: Reading = {"keep": keep, "weights": weights, "ordered": ordered, "users": users, "items": items}
    file: Reading = {"encoding": encoding, "delimiter": delimiter, "header": header}
    interactions = Interactions.read(data, **columns | told | file)
    search = TuningSearch.of(interactions, model, metric, validation, how, fixed)
    kept = Study(place, search.head)
    with interruptible() as stop, stop.telling(lambda: f"keeping the {len(kept.trials)} finished trials"):
        try:
            while len(kept.trials) < trials and (left := deadline - perf_counter()) > 0 and not stop.requested:
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
        raise SettingError(
            f"no epoch of {model} was finished within {limit:g} seconds", expected="time for at least one epoch"
        )
    return _so_far(search, kept, interrupted)


def _so_far(search: TuningSearch, kept: Study, interrupted: bool = False) -> TuningResult:
    return TuningResult(search.name, search.metric, search.fixed, tuple(kept.trials), interrupted)
