"""How good ranked answers are: plain functions, one value for each query.

First ``judge`` ranked rows by what was held out, then ask any metric at any k. Everything is a share between 0 and 1
and higher is better, but for ``novelty``, which is bits. A query with nothing held out has the value NaN, for there
was nothing to be right about; ``summarise`` leaves it out and counts it.

With h_i = 1 where the i-th answer was held out, else 0, and n rows held out:

    recall          Σ_{i≤k} h_i / n               (He et al. 2020, LightGCN)
    recall_capped   Σ_{i≤k} h_i / min(k, n)       (Liang et al. 2018, section 4.2: 1 can always be reached)
    precision       Σ_{i≤k} h_i / k
    hit             1 if any h_i, i ≤ k
    mrr             1 / the least i ≤ k with h_i, else 0
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
from isthmus.reprs import brief
from isthmus.rowlists import RowLists, contains, distinct


@brief
@dataclass(frozen=True)
class RankingScores:
    """Answers, judged.

    Attributes:
        hits: whether each answer was held out, best answer first.
        relevant: how many distinct rows were held out.
    """

    hits: Bool[Tensor, "batch k"]
    relevant: Int64[Tensor, " batch"]


PerQuery = Float64[Tensor, " batch"]


def judge(ranked: Int64[Tensor, "batch k"], held_out: RowLists) -> RankingScores:
    """Look ranked rows up in what was held out.

    Args:
        ranked: distinct rows, best first; -1 where there are fewer.
        held_out: the rows that were hidden, one list for each query; a row listed twice counts once.

    Raises:
        InputError: not one list for each query.
    """
    if held_out.size != len(ranked):
        raise InputError(f"{held_out.size} held-out lists", expected=f"one for each of {len(ranked)} queries")
    held_out = distinct(held_out)
    return RankingScores(contains(held_out, ranked), held_out.offsets.diff())


def recall(judged: RankingScores, k: int) -> PerQuery:
    """Hits among the first k, as a share of all that was held out."""
    return _share(_hits(judged, k).sum(1), judged.relevant)


def recall_capped(judged: RankingScores, k: int) -> PerQuery:
    """Hits among the first k, as a share of the most that k answers can hold."""
    return _share(_hits(judged, k).sum(1), judged.relevant.clamp(max=k))


def precision(judged: RankingScores, k: int) -> PerQuery:
    """Hits among the first k, as a share of k, also where fewer were answered."""
    return _share(_hits(judged, k).sum(1) / k, judged.relevant > 0)


def hit(judged: RankingScores, k: int) -> PerQuery:
    """1 where any of the first k was held out."""
    return _share(_hits(judged, k).any(1), judged.relevant > 0)


def mrr(judged: RankingScores, k: int) -> PerQuery:
    """One over the position of the first hit, 0 where there is none among the first k."""
    hits = _hits(judged, k)
    return _share((hits / _positions(hits)).amax(1), judged.relevant > 0)


def map_(judged: RankingScores, k: int) -> PerQuery:
    """Mean over the held-out rows, or k of them, of the precision at the position where each was found."""
    hits = _hits(judged, k)
    precisions = hits.cumsum(1) / _positions(hits)
    return _share((precisions * hits).sum(1), judged.relevant.clamp(max=k))


def ndcg(judged: RankingScores, k: int) -> PerQuery:
    """Discounted hits, as a share of those of the best possible order."""
    hits = _hits(judged, k)
    discounts = 1 / torch.log2(_positions(hits) + 1)
    ideal = torch.cat([discounts.new_zeros(1), discounts.cumsum(0)])
    return _share((hits * discounts).sum(1), ideal[judged.relevant.clamp(max=k)])


def novelty(ranked: Int64[Tensor, "batch k"], counts: Int64[Tensor, " width"], people: int, k: int) -> PerQuery:
    """Mean self-information of the first k answers, −log₂(counts / people), in bits; NaN where nothing was answered.

    A column that nobody has counts as if one had it, so log₂(people) is the most (Zhou et al. 2010, "Solving the
    apparent diversity-accuracy dilemma of recommender systems", surprisal).

    Args:
        ranked: rows, best first; -1 where there are fewer.
        counts: how many have each column.
        people: how many there are in all.
        k: how many answers count.
    """
    rows = _first(ranked, k)
    bits = torch.log2(torch.tensor(float(people), dtype=torch.float64)) - counts.clamp(min=1).double().log2()
    answered = rows >= 0
    return _share((bits[rows.clamp(min=0)] * answered).sum(1), answered.sum(1))


def coverage(ranked: Int64[Tensor, "batch k"], width: int, k: int) -> float:
    """The share of all columns that stand among the first k of anybody (Ge et al. 2010, catalogue coverage)."""
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
"""The metrics of judged answers, by name."""


@dataclass(frozen=True)
class Summary:
    """A mean over queries.

    Attributes:
        mean: NaN where no query counts.
        standard_error: of the mean: the sample's standard deviation (n − 1) over √n; NaN for fewer than two queries.
        counted: queries that had something held out.
        skipped: queries that had not.
    """

    mean: float
    standard_error: float
    counted: int
    skipped: int


def summarise(values: PerQuery) -> Summary:
    """Mean and standard error of the values that are not NaN."""
    valid = values[~values.isnan()]
    n = len(valid)
    mean = float(valid.mean()) if n else float("nan")
    error = float(valid.std()) / n**0.5 if n > 1 else float("nan")
    return Summary(mean, error, n, len(values) - n)


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
