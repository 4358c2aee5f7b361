"""Synthetic interactions of any size, with a structure to find and a popularity that falls like a power.

Every item belongs to one of many tastes, and inside its taste the item of rank r is chosen with a chance that falls
like r^-0.8. The tastes have different sizes of following. A person has three tastes, chosen by their following, and a
private share of each; nine interactions in ten come from these tastes, one in ten from all items by popularity. Item
numbers are shuffled: nothing can be read from them. Popularity alone knows which items of all are frequent; a model can
know which of a person's tastes they belong to, and within a taste nobody can know more than the ranks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

TASTES_EACH = 3
BACKGROUND = 0.1
FALL = 0.8
FOLLOWING_FALL = 0.5


@dataclass(frozen=True)
class Split:
    """People that are trained on, and other people of whom one part is shown and another is to be found."""

    train: csr_array
    shown: csr_array
    hidden: csr_array


def interactions(people: int, items: int, *, each: int = 50, tastes: int | None = None, seed: int = 0) -> csr_array:
    """Ones, shape (people, items), at most ``each`` a person: what is chosen twice counts once.

    Args:
        each: choices a person.
        tastes: how many; one for 200 items if not given.
    """
    random = np.random.default_rng(seed)
    tastes = tastes or max(8, items // 200)
    ends, names = _catalogue(items, tastes, np.random.default_rng(1))
    starts = np.concatenate([[0.0], ends[_lasts(items, tastes)]])
    liked = random.choice(tastes, (people, TASTES_EACH), p=_following(tastes))
    fond = random.dirichlet(np.ones(TASTES_EACH), people).cumsum(1)
    which = (random.random((people, each, 1)) > fond[:, None, :-1]).sum(2)
    taste = np.take_along_axis(liked, which, 1)
    points = starts[taste] + random.random((people, each)) * (starts[taste + 1] - starts[taste])
    everywhere = random.random((people, each)) < BACKGROUND
    points[everywhere] = random.random(int(everywhere.sum())) * ends[-1]
    chosen = names[np.minimum(np.searchsorted(ends, points, side="right"), items - 1)]
    offsets = np.arange(0, people * each + 1, each)
    matrix = csr_array((np.ones(people * each, np.float32), chosen.ravel(), offsets), shape=(people, items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def split(people: int, asked: int, items: int, *, each: int = 50, seed: int = 0) -> Split:
    """``people`` to train on and ``asked`` others; a fifth of what those chose is hidden."""
    whole = interactions(people + asked, items, each=each, seed=seed)
    random = np.random.default_rng(seed + 1)
    others = whole[people:]
    hide = random.random(others.nnz) < 0.2
    return Split(whole[:people], _kept(others, ~hide), _kept(others, hide))


def _catalogue(
    items: int, tastes: int, random: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Cumulative chances of the items, taste by taste, and the number of the item at each place."""
    lasts = _lasts(items, tastes)
    sizes = np.diff(np.concatenate([[-1], lasts]))
    rank = np.arange(items) - np.repeat(lasts + 1 - sizes, sizes) + 1
    chances = rank.astype(np.float64) ** -FALL
    masses = np.add.reduceat(chances, lasts + 1 - sizes)
    chances *= np.repeat(_following(tastes) / masses, sizes)
    return chances.cumsum(), random.permutation(items).astype(np.int32)


def _lasts(items: int, tastes: int) -> npt.NDArray[np.int64]:
    """The last place of each taste; sizes differ by one item at most."""
    return np.arange(1, tastes + 1) * items // tastes - 1


def _following(tastes: int) -> npt.NDArray[np.float64]:
    weights = np.arange(1, tastes + 1) ** -FOLLOWING_FALL
    return np.asarray(weights / weights.sum())


def _kept(matrix: csr_array, keep: npt.NDArray[np.bool_]) -> csr_array:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[keep]
    return csr_array((matrix.data[keep], (rows, matrix.indices[keep])), shape=matrix.shape)
