"""Ranking metrics: plain functions that return one value for each query.

First, ``judge`` compares ranked rows with the held-out ones; its result can be passed to any metric with any k. All
metrics are shares between 0 and 1 and higher is better, except ``novelty``, which is in bits. Queries without held-out
rows have the value NaN; ``summarise`` leaves them out and counts them.

With h_i = 1 if the i-th result was held out, otherwise 0, and n held-out rows:

    recall          Σ_{i≤k} h_i / n               (He et al. 2020, LightGCN)
    recall_capped   Σ_{i≤k} h_i / min(k, n)       (Liang et al. 2018, section 4.2: can always reach 1)
    precision       Σ_{i≤k} h_i / k
    hit             1 if any h_i, i ≤ k
    mrr             1 / the smallest i ≤ k with h_i, otherwise 0
    map             Σ_{i≤k} h_i · precision@i / min(k, n)
    ndcg            Σ_{i≤k} h_i / log₂(i + 1)  /  Σ_{i≤min(k, n)} 1 / log₂(i + 1)      (Järvelin & Kekäläinen 2002)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from isthmus.errors import InputError, SettingError
from isthmus.metrics.means import mean_with_error
from isthmus.reprs import brief
from isthmus.rowlists import RowLists, contains, distinct


@brief
@dataclass(frozen=True)
class RankingScores:
    """Rankings compared with held-out rows.

    Attributes:
        hits: whether each ranked row was held out, best row first.
        relevant: number of distinct held-out rows.
    """

    hits: Bool[Tensor, "batch k"]
    relevant: Int64[Tensor, " batch"]


PerQuery = Float64[Tensor, " batch"]


def judge(ranked: Int64[Tensor, "batch k"], held_out: RowLists) -> RankingScores:
    """Compare ranked rows with the held-out ones.

    Args:
        ranked: distinct rows, best first; -1 if there are fewer.
        held_out: the held-out rows, one list for each query; a row that is listed twice counts once.

    Returns:
        The hits.

    Raises:
        InputError: a number of lists that is not the number of queries.
    """
    if held_out.size != len(ranked):
        raise InputError(f"{held_out.size} held-out lists", expected=f"one for each of {len(ranked)} queries")
    held_out = distinct(held_out)
    return RankingScores(contains(held_out, ranked), held_out.offsets.diff())


def recall(judged: RankingScores, k: int) -> PerQuery:
    """Hits among the first k, as a share of all held-out rows."""
    return _share(_hits(judged, k).sum(1), judged.relevant)


def recall_capped(judged: RankingScores, k: int) -> PerQuery:
    """Hits among the first k, as a share of the maximum for k results."""
    return _share(_hits(judged, k).sum(1), judged.relevant.clamp(max=k))


def precision(judged: RankingScores, k: int) -> PerQuery:
    """Hits among the first k, as a share of k, even if fewer were ranked."""
    return _share(_hits(judged, k).sum(1) / k, judged.relevant > 0)


def hit(judged: RankingScores, k: int) -> PerQuery:
    """1 if any of the first k was held out."""
    return _share(_hits(judged, k).any(1), judged.relevant > 0)


def mrr(judged: RankingScores, k: int) -> PerQuery:
    """One over the position of the first hit; 0 if there is none among the first k."""
    hits = _hits(judged, k)
    return _share((hits / _positions(hits)).amax(1), judged.relevant > 0)


def map_(judged: RankingScores, k: int) -> PerQuery:
    """Mean of the precision at the positions of the hits, over the held-out rows, or k of them."""
    hits = _hits(judged, k)
    precisions = hits.cumsum(1) / _positions(hits)
    return _share((precisions * hits).sum(1), judged.relevant.clamp(max=k))


def ndcg(judged: RankingScores, k: int) -> PerQuery:
    """Discounted hits, as a share of those of an ideal ranking."""
    hits = _hits(judged, k)
    discounts = 1 / torch.log2(_positions(hits) + 1)
    ideal = torch.cat([discounts.new_zeros(1), discounts.cumsum(0)])
    return _share((hits * discounts).sum(1), ideal[judged.relevant.clamp(max=k)])


def novelty(ranked: Int64[Tensor, "batch k"], counts: Int64[Tensor, " width"], people: int, k: int) -> PerQuery:
    """Mean self-information of the first k results, −log₂(counts / people), in bits; NaN for empty rankings.

    A column without any users counts as if it had one, so the maximum is log₂(people) (Zhou et al. 2010, "Solving the
    apparent diversity-accuracy dilemma of recommender systems", surprisal).

    Args:
        ranked: rows, best first; -1 if there are fewer.
        counts: number of users of each column.
        people: total number of users.
        k: length of the ranking.
    """
    rows = _first(ranked, k)
    bits = torch.log2(torch.tensor(float(people), dtype=torch.float64)) - counts.clamp(min=1).double().log2()
    answered = rows >= 0
    return _share((bits[rows.clamp(min=0)] * answered).sum(1), answered.sum(1))


def coverage(ranked: Int64[Tensor, "batch k"], width: int, k: int) -> float:
    """The share of all columns among the first k of any query (Ge et al. 2010, catalogue coverage)."""
    rows = _first(ranked, k)
    return len(rows[rows >= 0].unique()) / width


METRICS: Mapping[str, Callable[[RankingScores, int], PerQuery]] = MappingProxyType(
    {
        "recall": recall,
        "recall_capped": recall_capped,
        "precision": precision,
        "ndcg": ndcg,
        "map": map_,
        "mrr": mrr,
        "hit": hit,
    }
)
"""The metrics by name."""


@dataclass(frozen=True)
class Summary:
    """A mean over queries.

    Attributes:
        mean: NaN if no query counts.
        standard_error: of the mean: the sample standard deviation (n − 1) over √n; NaN for fewer than two queries.
        counted: number of queries with held-out rows.
        skipped: number of queries without.
    """

    mean: float
    standard_error: float
    counted: int
    skipped: int


def summarise(values: PerQuery) -> Summary:
    """Mean and standard error of the values that are not NaN."""
    valid = values[~values.isnan()]
    return Summary(*mean_with_error(valid), len(valid), len(values) - len(valid))


def _first(ranked: Tensor, k: int) -> Tensor:
    if not 1 <= k <= ranked.shape[1]:
        raise SettingError(f"k is {k}", expected=f"1 to {ranked.shape[1]}, as many as were ranked")
    return ranked[:, :k]


def _hits(judged: RankingScores, k: int) -> Float64[Tensor, "batch k"]:
    return _first(judged.hits, k).double()


def _positions(hits: Tensor) -> Float64[Tensor, " k"]:
    return torch.arange(1, hits.shape[1] + 1, dtype=torch.float64, device=hits.device)


def _share(part: Tensor, whole: Tensor) -> PerQuery:
    """part / whole; NaN where whole is 0."""
    return torch.where(whole > 0, part / whole, torch.nan).double()
