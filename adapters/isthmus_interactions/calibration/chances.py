"""The probability that a recommended item is a hit, learnt from users whom the model was not trained on.

There are four steps, all on the same users: the score of an item gives a first probability (isotonic regression); a
logistic regression corrects it by the length of the history, the rank of the item and the quality of the best items of
this history; the result is calibrated again (isotonic regression); and the probabilities of each history are scaled so
that the predicted hits of its best items match those of users with as many predicted hits (isotonic regression). The
fewer users there are, the less the last two count.

A raw score is not a probability: with isotonic regression of scores alone, networks, whose logits hardly depend on the
length of the history, predicted a third too few hits for users with long histories.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from isthmus.errors import BundleError, InputError
from isthmus.metrics.calibration import calibration_error
from isthmus.reprs import brief, counted
from isthmus_interactions.calibration.curve import Curve, Numbers
from isthmus_interactions.calibration.logistic import logistic_regression
from isthmus_interactions.calibration.outcomes import DEPTH, Outcomes

FEWEST_USERS = 30
FEWEST_HITS = 30
"""Minimum number of users, and of hits among their best items, for learning probabilities."""

FEWEST_TO_CHECK = 100
"""Minimum number of users for estimating the error by halves."""

LEVEL = 10
"""Number of best items whose mean score measures the quality of the best items of a history."""

CHECKED = 20
"""Length of the lists for which the calibration is checked."""

DOUBTED = 300
"""With this many users, the isotonic regressions of chances and of lists count half, beside the logistic regression
without them. Chosen among 0, 300, 1,000 and 3,000 by learning from 93 and 266 of the users who were held out of
MovieLens-1M for validation."""

ODDS = np.linspace(-12.0, 8.0, 81)
"""Log-odds at which a mixture with the logistic regression is exact."""

LOWEST = 1e-4
"""The smallest probability; the largest is equally far from 1."""


@brief
@dataclass(frozen=True)
class Seen:
    """The range of the calibration data; histories outside it get no probabilities.

    Attributes:
        users: number of users.
        hits: number of hits among their best items.
        given: mean number of items of their histories.
        hidden: mean number of hidden items per user.
        shortest: number of items of the shortest history.
        longest: number of items of the longest history.
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
        """The inverse of ``dataclasses.asdict``; a value of the wrong type is a ``TypeError``."""
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
    """Probabilities of hits for the scores of one model.

    Attributes:
        first: probability by the score alone.
        coefficients: coefficients of the logistic regression, see ``_features``; the first is the constant.
        last: probability by the result of the regression.
        lists: share of hits among the ``CHECKED`` best items of a history, by the predicted number.
        others: probability by the score, for items that are not among the ``DEPTH`` best of a history.
        seen: the range of the calibration data.
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
            found: outcomes of users whom the model was not trained on.
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
        # With few users, isotonic regressions of the second and third step follow chance.
        trusted = len(found) / (len(found) + DOUBTED)
        last = Curve.fit(_linear(features[there], coefficients), hits).towards(expit, trusted, ODDS)
        rest = (found.other_scores, found.other_hits, found.other_weights)
        nothing = (np.zeros(1), np.zeros(1, dtype=np.bool_), np.ones(1))
        width = found.scores[:, :CHECKED].shape[1]
        promised = np.where(there, last.at(_linear(features, coefficients)), 0.0)[:, :CHECKED].sum(1)
        others = Curve.fit(*(rest if len(rest[0]) else nothing))
        lists = Curve.fit(promised, found.hits[:, :CHECKED].sum(1) / width)
        lists = lists.towards(lambda sums: sums / width, trusted, np.linspace(0.0, width, 2 * width + 1))
        return cls(first, coefficients, last, lists, others, seen)

    def chances(self, scores: Numbers, best: Numbers, lengths: npt.NDArray[np.int64]) -> Numbers:
        """The probability of each item to be a hit.

        Args:
            scores: scores of the items, shape (histories, k); −inf for no item.
            best: the ``DEPTH`` best scores of each history among all items that are not in it, best first, padded with
                −inf.
            lengths: number of items of each history.

        Returns:
            From 0 to 1, shape (histories, k).
        """
        # Two searches may differ in the last bits.
        near = best - 1e-6 * np.maximum(1.0, np.abs(np.where(np.isfinite(best), best, 0.0)))
        places = 1 + (near[:, None, :] > scores[:, :, None]).sum(2)
        chances = self._uncorrected(scores, np.minimum(places, DEPTH), best, lengths) * self._factors(best, lengths)
        # An item beyond the best ones has at most the probability of the last of them.
        beyond = np.minimum(chances, self.others.at(scores))
        found: Numbers = np.where(places > DEPTH, beyond, chances).clip(LOWEST, 1 - LOWEST)
        return found

    def _uncorrected(self, scores: Numbers, places: Any, best: Numbers, lengths: npt.NDArray[np.int64]) -> Numbers:
        return self.last.at(_linear(_features(self.first, scores, places, best, lengths), self.coefficients))

    def _factors(self, best: Numbers, lengths: npt.NDArray[np.int64]) -> Numbers:
        """The factor of the probabilities of each history, shape (histories, 1)."""
        top = best[:, :CHECKED]
        places = np.broadcast_to(np.arange(1, top.shape[1] + 1), top.shape)
        promised = np.where(np.isfinite(top), self._uncorrected(top, places, best, lengths), 0.0).sum(1)
        found: Numbers = top.shape[1] * self.lists.at(promised) / np.maximum(promised, LOWEST)
        return found[:, None]

    def doubts(self, length: int, unknown: int, best: Numbers) -> str:
        """The reason why a history gets no probabilities; empty if it gets them.

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
        # The final fit on all users changes scores slightly.
        width = seen.highest - seen.lowest
        if not seen.lowest - width <= _mean_of_best(best[None])[0] <= seen.highest + width:
            return "its best items score unlike those of all users of the calibration"
        return ""

    def to_json(self) -> dict[str, Any]:
        """The calibration as JSON values."""
        curves = {name: getattr(self, name).to_json() for name in CURVES}
        return {**curves, "coefficients": list(self.coefficients), "seen": asdict(self.seen)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Calibration:
        """The inverse of ``to_json``.

        Raises:
            BundleError: invalid values.
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
"""Allowed signs of coefficients; 0 allows both. A higher score and a better rank never lower the probability, so that
probabilities in a list descend like its scores."""


def _features(first: Curve, scores: Numbers, places: Any, best: Numbers, lengths: npt.NDArray[np.int64]) -> Numbers:
    """The log-odds of the probability by the score, the logarithms of length and rank, and the mean log-odds of the
    best items of the history and its square; shape (histories, k, features)."""
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
    """The calibration error when the probabilities of each half of the users are learnt from the other half."""
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
