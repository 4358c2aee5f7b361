"""What to try next: the only file that imports Optuna (Akiba et al., KDD 2019), which the extra ``tune`` brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from isthmus_interactions.tuning.spaces import Categorical, Range, Space
from isthmus_interactions.tuning.study import State, Trial

STARTUP = 6
"""Trials before the sampler draws conclusions, the defaults among them; before that it draws at random."""

FULL = 4
"""Trials that reach their end before another may be ended early."""

WARMUP = 5
"""Epochs that every trial may have."""

_STATES: Mapping[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "cut": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Suggestion:
    """The settings of the next trial, and whether it is worth going on with.

    They follow from the space, the trials so far and the seed alone, so that a study that was interrupted goes on as if
    it had not been. The sampler is the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011); a trial is
    hopeless where its best score so far is below the median of what the others had at that epoch.

    Args:
        space: what is searched.
        first: settings of the very first trial.
        trials: those that are done.
        seed: of the sampler.
    """

    def __init__(self, space: Space, first: Mapping[str, Any], trials: Sequence[Trial], seed: int) -> None:
        spans = {name: _distribution(span) for name, span in space.items()}
        # One seed for each trial: a single stream would begin anew at every resume.
        sampler = optuna.samplers.TPESampler(seed=(seed * 1_000_003 + len(trials)) % 2**32, n_startup_trials=STARTUP)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=FULL, n_warmup_steps=WARMUP)
        with _quiet():
            study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
            study.add_trials([_frozen(trial, spans) for trial in trials])
            if not trials:
                study.enqueue_trial(dict(first))
            self._trial = study.ask(spans)
        self.settings: dict[str, Any] = self._trial.params

    def should_prune(self, epoch: int, score: float) -> bool:
        """Whether to end the trial, after the score of an epoch, counted from 0."""
        self._trial.report(score, epoch)
        return bool(self._trial.should_prune())


def _distribution(span: Range | Categorical) -> BaseDistribution:
    if not isinstance(span, Range):
        return CategoricalDistribution(span)
    if isinstance(span.low, int) and isinstance(span.high, int):
        return IntDistribution(span.low, span.high, log=span.log)
    return FloatDistribution(span.low, span.high, log=span.log)


def _frozen(trial: Trial, spans: dict[str, BaseDistribution]) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=_STATES[trial.state],
        value=trial.score,
        params=dict(trial.settings),
        distributions=spans,
        intermediate_values=dict(enumerate(trial.scores)),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna would announce every study on standard error."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
