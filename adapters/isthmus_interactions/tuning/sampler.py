"""Choice of the next trial. This is the only file that imports Optuna (Akiba et al., KDD 2019), from the extra
``tune``."""

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
"""Number of initial trials, including the defaults, that are sampled at random."""

FULL = 4
"""Number of finished trials before another one may be stopped early."""

WARMUP = 5
"""Number of epochs before a trial may be stopped early."""

_STATES: Mapping[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "cut": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Suggestion:
    """The settings of the next trial, and the rule that stops it early.

    Both depend only on the space, the earlier trials and the seed, so an interrupted study continues as if it had not
    been interrupted. The sampler is the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011); a trial is
    stopped if its best score so far is below the median of the other trials at that epoch.

    Args:
        space: the search space.
        first: settings of the first trial.
        trials: finished trials.
        seed: seed of the sampler.
    """

    def __init__(self, space: Space, first: Mapping[str, Any], trials: Sequence[Trial], seed: int) -> None:
        spans = {name: _distribution(span) for name, span in space.items()}
        # Each trial has its own seed; a single random stream would start again at every resume.
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
        """Whether to stop the trial after the score of an epoch, counted from 0."""
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
    """Suppress the messages that Optuna prints to standard error for each study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
