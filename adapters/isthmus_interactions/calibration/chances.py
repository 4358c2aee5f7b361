"""The chance that a recommended item is a hit, learnt from users whom the model was not trained on.

Four steps, all on the same users: the score of an item gives a first chance (isotonic regression); a logistic
regression corrects it by the length of the history, the place of the item and how good the best items of this history
are; the result is made a chance again (isotonic regression); and the chances of each history are multiplied, so that
the promised hits of its best items are those of users with as many promised hits (isotonic regression).

A raw score is no chance: in isotonic regression within groups of users by the length of their histories, networks,
whose logits hardly depend on the length, promised a third too few hits to users with long histories.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.errors import BundleError, InputError
from isthmus.metrics.calibration import calibration_error
from isthmus.reprs import brief, counted
from isthmus_interactions.calibration.curve import Curve, Numbers
from isthmus_interactions.calibration.logistic import logistic_regression
from isthmus_interactions.calibration.outcomes import DEPTH, Outcomes

FEWEST_USERS = 30
FEWEST_HITS = 30
"""Minimum number of users, and of hits among their best items, from which chances are learnt."""

FEWEST_TO_CHECK = 100
"""Minimum number of users of which one half can check what the other half teaches."""

LEVEL = 10
"""Number of best items whose mean says how good the best items of a history are."""

CHECKED = 20
"""Length of the lists for which the calibration is checked."""

LOWEST = 1e-4
"""The smallest chance that is told; the largest is as far from 1."""


@brief
@dataclass(frozen=True)
class Seen:
    """What a calibration has seen; a history outside these ranges is unlike it.

    Attributes:
        users: number of users.
        hits: number of hits among their best items.
        given: mean number of items of their histories.
        hidden: mean number of items that were hidden from each of them.
        shortest: items of the shortest history.
        longest: items of the longest history.
        lowest: smallest mean score of the best items of a history.
        highest: largest such mean.
        hit: what counts as a hit, in words.
        error: expected calibration error of the best 20 items of a history for users who did not take part, estimated
            by halves; None for few users.
    """

    users: int
    hits: int
    given: float
    hidden: float
    shortest: int
    longest: int
    lowest: float
    highest: float
    hit: str
    error: float | None

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Seen:
        """The inverse of ``dataclasses.asdict``; what has not the type of its field is a ``TypeError``."""
        if set(saved) != set(cls.__dataclass_fields__):
            raise TypeError(f"{sorted(saved)} instead of {sorted(cls.__dataclass_fields__)}")
        error = None if saved["error"] is None else float(saved["error"])
        return cls(
            **{name: operator.index(saved[name]) for name in ("users", "hits", "shortest", "longest")},
            **{name: float(saved[name]) for name in ("given", "hidden", "lowest", "highest")},  # type: ignore[arg-type]
            hit=str(saved["hit"]),
            error=error,
        )


CURVES = ("first", "last", "lists", "others")
"""Names of the curves in a bundle."""


@brief
@dataclass(frozen=True, eq=False)
class Calibration:
    """Chances of hits for the scores of one model.

    Attributes:
        first: the chance by the score alone.
        coefficients: of the logistic regression, see ``_features``; the first is the constant.
        last: the chance by the result of the regression.
        lists: the share of hits among the ``CHECKED`` best items of a history, by the number that was promised so far.
        others: the chance by the score, for items that are not among the ``DEPTH`` best of a history.
        seen: the users it was learnt from.
    """

    first: Curve
    coefficients: tuple[float, ...]
    last: Curve
    lists: Curve
    others: Curve
    seen: Seen

    @classmethod
    def fit(cls, found: Outcomes, hit: str) -> Calibration:
        """Learn from outcomes.

        Args:
            found: of users whom the model was not trained on.
            hit: what counts as a hit, in words.

        Returns:
            The calibration.

        Raises:
            InputError: too few users or hits.
        """
        hits = int(found.hits.sum())
        if len(found) < FEWEST_USERS or hits < FEWEST_HITS:
            raise InputError(
                f"{counted(len(found), 'user')} with {counted(hits, 'hit')} to learn chances from",
                expected=f"at least {FEWEST_USERS} users and {FEWEST_HITS} hits",
                remedy="hold out more users",
            )
        return cls._learnt(found, _seen(found, hit, _error(found, hit)))

    @classmethod
    def _learnt(cls, found: Outcomes, seen: Seen) -> Calibration:
        there = np.isfinite(found.scores)
        hits = found.hits[there]
        first = Curve.fit(found.scores[there], hits)
        places = np.broadcast_to(np.arange(1, found.scores.shape[1] + 1), found.scores.shape)
        features = _features(first, found.scores, places, found.scores, found.lengths)
        coefficients = logistic_regression(features[there], hits, SIGNS)
        last = Curve.fit(_linear(features[there], coefficients), hits)
        rest = (found.other_scores, found.other_hits, found.other_weights)
        nothing = (np.zeros(1), np.zeros(1, dtype=np.bool_), np.ones(1))
        share = found.hits[:, :CHECKED].sum(1) / found.scores[:, :CHECKED].shape[1]
        promised = np.where(there, last.at(_linear(features, coefficients)), 0.0)[:, :CHECKED].sum(1)
        others = Curve.fit(*(rest if len(rest[0]) else nothing))
        return cls(first, coefficients, last, Curve.fit(promised, share), others, seen)

    def chances(self, scores: Numbers, best: Numbers, lengths: npt.NDArray[np.int64]) -> Numbers:
        """The chance of each item to be a hit.

        Args:
            scores: of the items that are asked about, shape (histories, k); −inf for none.
            best: the ``DEPTH`` best scores of each history among all items that are not in it, best first; −inf where
                there are no more.
            lengths: number of items of each history.

        Returns:
            From 0 to 1, shape (histories, k).
        """
        # Two searches may differ in the last bits.
        near = best - 1e-6 * np.maximum(1.0, np.abs(np.where(np.isfinite(best), best, 0.0)))
        places = 1 + (near[:, None, :] > scores[:, :, None]).sum(2)
        chances = self._uncorrected(scores, np.minimum(places, DEPTH), best, lengths) * self._factors(best, lengths)
        # An item beyond the best ones has no better chance than the last of them.
        beyond = np.minimum(chances, self.others.at(scores))
        found: Numbers = np.where(places > DEPTH, beyond, chances).clip(LOWEST, 1 - LOWEST)
        return found

    def _uncorrected(self, scores: Numbers, places: Any, best: Numbers, lengths: npt.NDArray[np.int64]) -> Numbers:
        return self.last.at(_linear(_features(self.first, scores, places, best, lengths), self.coefficients))

    def _factors(self, best: Numbers, lengths: npt.NDArray[np.int64]) -> Numbers:
        """What the chances of each history are multiplied by, shape (histories, 1)."""
        top = best[:, :CHECKED]
        places = np.broadcast_to(np.arange(1, top.shape[1] + 1), top.shape)
        promised = np.where(np.isfinite(top), self._uncorrected(top, places, best, lengths), 0.0).sum(1)
        found: Numbers = top.shape[1] * self.lists.at(promised) / np.maximum(promised, LOWEST)
        return found[:, None]

    def doubts(self, length: int, unknown: int, best: Numbers) -> str:
        """Why too little is known of a history to tell chances; empty if enough is known.

        Args:
            length: number of known items of the history.
            unknown: number of its items that are not in the catalogue.
            best: its best scores, see ``chances``.
        """
        seen = self.seen
        if not length:
            return "no item of the history is known"
        if unknown > length:
            return f"{unknown} of the {unknown + length} items of the history are unknown"
        if not seen.shortest <= length <= seen.longest:
            return (
                f"the history has {counted(length, 'item')}, those of the calibration {seen.shortest} to {seen.longest}"
            )
        # The last fit, on all users, moves scores a little.
        width = seen.highest - seen.lowest
        if not seen.lowest - width <= _mean_of_best(best[None])[0] <= seen.highest + width:
            return "its best items score unlike those of all users of the calibration"
        return ""

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        curves = {name: getattr(self, name).to_json() for name in CURVES}
        return {**curves, "coefficients": list(self.coefficients), "seen": asdict(self.seen)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Calibration:
        """The inverse of ``to_json``.

        Raises:
            BundleError: something else.
        """
        try:
            first, last, lists, others = (Curve.from_json(saved[name]) for name in CURVES)
            coefficients = tuple(map(float, saved["coefficients"]))
            seen = Seen.from_json(saved["seen"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleError(f"a calibration that cannot be read ({error})", expected="one as saved") from None
        if len(coefficients) != 1 + len(SIGNS) or not np.isfinite(coefficients).all():
            raise BundleError(f"{len(coefficients)} coefficients", expected=f"{1 + len(SIGNS)} numbers")
        return cls(first, coefficients, last, lists, others, seen)


SIGNS = (1, 0, -1, 0, 0)
"""Signs that coefficients may have; 0 for both. A higher score and a better place never lower the chance, so that the
chances of a list descend as its scores do."""


def _features(first: Curve, scores: Numbers, places: Any, best: Numbers, lengths: npt.NDArray[np.int64]) -> Numbers:
    """The log-odds of the chance by the score, the logarithms of length and place, and the mean log-odds of the best
    items of the history and its square; shape (histories, k, features)."""
    odds = _log_odds(first.at(np.where(np.isfinite(scores), scores, first.scores[0])))
    top = best[:, :LEVEL]
    there = np.isfinite(top)
    level = (_log_odds(first.at(np.where(there, top, 0.0))) * there).sum(1) / np.maximum(1, there.sum(1))
    per_history = [np.log(np.maximum(1, lengths)), level, level**2]
    length, mean, square = (np.broadcast_to(one[:, None], scores.shape) for one in per_history)
    return np.stack([odds, length, np.log(places), mean, square], -1)


def _linear(features: Numbers, coefficients: tuple[float, ...]) -> Numbers:
    found: Numbers = coefficients[0] + features @ np.array(coefficients[1:])
    return found


def _log_odds(chances: Numbers) -> Numbers:
    inside = chances.clip(LOWEST, 1 - LOWEST)
    found: Numbers = np.log(inside / (1 - inside))
    return found


def _mean_of_best(best: Numbers) -> Numbers:
    """The mean of the best scores of each history; −inf without any."""
    top = best[:, :LEVEL]
    there = np.isfinite(top)
    sums, counts = np.where(there, top, 0.0).sum(1), there.sum(1)
    return np.where(counts > 0, sums / np.maximum(1, counts), -np.inf)


def _seen(found: Outcomes, hit: str, error: float | None) -> Seen:
    levels = _mean_of_best(found.scores)
    levels = levels[np.isfinite(levels)]
    return Seen(
        users=len(found),
        hits=int(found.hits.sum()),
        given=float(found.lengths.mean()),
        hidden=float(found.hidden.mean()),
        shortest=int(found.lengths.min()),
        longest=int(found.lengths.max()),
        lowest=float(levels.min()),
        highest=float(levels.max()),
        hit=hit,
        error=error,
    )


def _error(found: Outcomes, hit: str) -> float | None:
    """The error where each half of the users is told chances that the other half taught."""
    if len(found) < FEWEST_TO_CHECK:
        return None
    halves = np.array_split(np.random.default_rng(0).permutation(len(found)), 2)
    told, was = list[Numbers](), list[npt.NDArray[np.bool_]]()
    for taught, rows in (halves, halves[::-1]):
        teaching, asked = found.take(taught), found.take(rows)
        learnt = Calibration._learnt(teaching, _seen(teaching, hit, None))
        shown = asked.scores[:, :CHECKED]
        told.append(learnt.chances(shown, asked.scores, asked.lengths)[np.isfinite(shown)])
        was.append(asked.hits[:, :CHECKED][np.isfinite(shown)])
    return calibration_error(np.concatenate(told), np.concatenate(was))
