"""Evaluates a ranker on held-out items: ranks in blocks, compares with the held-out items, averages.

No matrix of queries × columns is built: scores exist for one block at a time, and only the k best columns are kept.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from jaxtyping import Float64, Int64
from scipy.sparse import csr_array, issparse
from torch import Tensor

from isthmus.answers import Tabular, html
from isthmus.batch import Bags, Tensors
from isthmus.checked.arguments import listed
from isthmus.checked.sparse import as_csr
from isthmus.errors import InputError, SettingError
from isthmus.index.exact.searcher import rank
from isthmus.metrics.ranking import METRICS, RankingScores, coverage, judge, novelty, summarise
from isthmus.plugins import closest
from isthmus.protocols import Ranker
from isthmus.reprs import described, joined, one_line
from isthmus.rowlists import from_csr

logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.int64]
NAMES = (*METRICS, "novelty", "coverage")
SEEN = ("masked", "kept")
"""How items of the history are treated in a ranking."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Tabular):
    """Results of an evaluation, by names such as "ndcg@100"; also a table.

    Attributes:
        means: means over the evaluated rows; for coverage, the value itself.
        standard_errors: standard errors of these means; coverage has none.
        values: values of each evaluated row, for a bootstrap or a paired test; coverage has none.
        rows: rows of the matrices that were evaluated, because they have held-out items.
        skipped: number of rows without held-out items.
        protocol: how histories and held-out items were chosen, if the caller said so.
        remarks: what was left out, and other remarks on the scores.
        seen: whether items of the history were "masked", so that they could not be ranked, or "kept".
        baselines: means of the same metrics for other rankers, by name, if the caller measured some.
    """

    means: Mapping[str, float]
    standard_errors: Mapping[str, float]
    values: Mapping[str, Float64[Tensor, " rows"]]
    rows: Int64[Tensor, " rows"]
    skipped: int
    protocol: str = ""
    remarks: Sequence[str] = ()
    seen: str = "masked"
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{name:<18} {self.shown(name)}" for name in self.means]
        asked = f"{len(self.rows):,} asked; seen items {self.seen}" + (f"; {self.protocol}" if self.protocol else "")
        others = [
            f"{name}: {', '.join(f'{m} {mean:.4f}' for m, mean in of.items())}" for name, of in self.baselines.items()
        ]
        return "\n".join([*lines, asked, *others, *self.remarks])

    def shown(self, name: str) -> str:
        """One metric as text: the mean ± its standard error."""
        error = self.standard_errors.get(name)
        return f"{self.means[name]:.4f}" + ("" if error is None or np.isnan(error) else f" ± {error:.4f}")

    def to_arrow(self) -> pa.Table:
        """A row for each metric: ``metric``, ``mean``, ``standard_error`` (null for coverage), ``users``, the number of
        evaluated rows, and ``seen``, whether items of the histories were masked or kept."""
        errors = [self.standard_errors.get(name) for name in self.means]
        columns = {"metric": pa.array(list(self.means), pa.large_string())}
        columns["mean"] = pa.array(list(self.means.values()), pa.float64())
        columns["standard_error"] = pa.array(errors, pa.float64())
        columns["users"] = pa.array([len(self.rows)] * len(errors), pa.int64())
        return pa.table({**columns, "seen": pa.array([self.seen] * len(errors), pa.large_string())})

    def __repr__(self) -> str:
        first = [f"{name} {self.shown(name)}" for name in islice(self.means, 4)]
        more = len(self.means) - len(first)
        return described(self, joined([*first, f"{more} more" if more else "", f"over {len(self.rows):,} users"]))

    def _repr_html_(self) -> str:
        rows = [(name, mean, self.standard_errors.get(name)) for name, mean in self.means.items()]
        below = f"over {len(self.rows):,} users, seen items {self.seen}; {self.skipped:,} had no held-out items"
        remarks = [below, *([self.protocol] if self.protocol else []), *self.remarks]
        return html.table(("metric", "mean", "standard error"), rows) + "".join(map(html.paragraph, remarks))


@dataclass(frozen=True, order=True)
class MetricAt:
    """A metric and the length of the ranking."""

    name: str
    k: int

    @classmethod
    def parse(cls, text: str) -> MetricAt:
        """Parse a name such as "recall@20".

        Raises:
            SettingError: no metric of that name, or no number after it.
        """
        found = re.fullmatch(r"([a-z_]+)@([1-9][0-9]{0,17})", text) if isinstance(text, str) else None
        if found is None or found[1] not in NAMES:
            name, at, k = str(text).partition("@")
            near = closest(f"{name}@{k}" if at else name, [f"{one}@{k or 20}" for one in NAMES])
            expected = f"one of {', '.join(NAMES)}, followed by @ and k, as in recall@20"
            raise SettingError(f"metric {one_line(repr(text))}", expected=expected, remedy=near)
        return cls(found[1], int(found[2]))

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"


def evaluate(
    ranker: Ranker,
    history: csr_array,
    held_out: csr_array,
    metrics: Sequence[str] = ("recall@20", "ndcg@100"),
    *,
    inputs: csr_array | Tensors | None = None,
    batch_size: int = 8192,
    device: torch.device | None = None,
    seen: str = "masked",
    trained: csr_array | None = None,
) -> Evaluation:
    """Rank all items, without those of each row's history, and compare the ranking with the held-out items.

    Args:
        ranker: the ranker to evaluate.
        history: known items of each row.
        held_out: hidden items of each row, same shape as ``history``; every stored entry counts.
        metrics: names such as "recall@20", see ``isthmus.metrics.ranking``; also ``coverage`` and ``novelty``.
        inputs: input of the ranker if it differs from the history: another matrix, whose rows become bags, or tensors
            such as ordered histories; as many rows.
        batch_size: number of rows that are processed together.
        device: device of the ranker; by default the CPU.
        seen: "masked" leaves the items of the history out of the ranking; "kept" ranks them, too, for data in which
            items are repeated. The result says which.
        trained: the training data, any number of rows, in which ``novelty`` counts the users of each item; by default
            the history.

    Returns:
        Means, standard errors and values of the metrics; higher is better.

    Raises:
        SettingError: an unknown metric, ``seen`` that is neither, or ``batch_size`` below 1.
        InputError: matrices that do not match each other or the ranker.
    """
    wanted = [MetricAt.parse(name) for name in listed("metrics", metrics, "a list such as ['recall@20']")]
    if not wanted:
        raise SettingError("no metrics", expected="names such as recall@20")
    history, held_out = as_csr(history, "history"), as_csr(held_out, "held_out")
    trained = history if trained is None else as_csr(trained, "trained")
    if trained.shape[1] != history.shape[1]:
        raise InputError(f"trained of {trained.shape[1]} columns", expected=f"{history.shape[1]}, as in history")
    k = max(metric.k for metric in wanted)
    found = rankings(ranker, history, held_out, k, inputs=inputs, batch_size=batch_size, device=device, seen=seen)
    values, covered = _measured(wanted, found, trained)
    skipped = held_out.shape[0] - len(found.rows)
    logger.debug("evaluated %d rows, %d had nothing held out", len(found.rows), skipped)
    return replace(_evaluation(values, covered, found.rows, skipped), seen=seen)


@dataclass(frozen=True, eq=False)
class Rankings:
    """The best columns of each row that has held-out ones.

    Attributes:
        rows: rows of the matrices.
        answers: their best columns, best first, padded with -1.
        judged: the rankings compared with the held-out columns.
    """

    rows: Rows
    answers: Int64[Tensor, "rows k"]
    judged: RankingScores


def rankings(
    ranker: Ranker,
    history: csr_array,
    held_out: csr_array,
    k: int,
    *,
    inputs: csr_array | Tensors | None = None,
    batch_size: int = 8192,
    device: torch.device | None = None,
    seen: str = "masked",
) -> Rankings:
    """The rankings that ``evaluate`` measures; arguments and errors are the same.

    Args:
        ranker: the ranker.
        history: known items of each row.
        held_out: hidden items of each row, same shape.
        k: length of the rankings.
        inputs: input of the ranker if it differs from the history.
        batch_size: number of rows that are processed together.
        device: device of the ranker; by default the CPU.
        seen: whether items of the history are "masked" or "kept".

    Returns:
        The best ``k`` items of each row with held-out ones.
    """
    if not (isinstance(seen, str) and seen in SEEN):
        raise SettingError(f"seen={one_line(repr(seen))}", expected="'masked' or 'kept'")
    masked, history, held_out = seen == "masked", as_csr(history, "history"), as_csr(held_out, "held_out")
    if issparse(inputs):
        inputs = as_csr(inputs, "inputs")
    inputs = history if inputs is None else inputs
    _check(ranker, history, held_out, inputs, batch_size)
    rows = np.flatnonzero(np.diff(held_out.indptr))
    answers, judged = [], []
    for start in range(0, max(1, len(rows)), batch_size):
        some = rows[start : start + batch_size]
        known = from_csr(_take(history, some), device) if masked else None
        found = rank(ranker, _inputs(inputs, some, device), k, exclude=known).rows.cpu()
        answers.append(found)
        judged.append(judge(found, from_csr(_take(held_out, some))))
    whole = RankingScores(torch.cat([one.hits for one in judged]), torch.cat([one.relevant for one in judged]))
    return Rankings(rows, torch.cat(answers), whole)


def _measured(
    wanted: Sequence[MetricAt], found: Rankings, trained: csr_array
) -> tuple[dict[str, Float64[Tensor, " rows"]], dict[str, float]]:
    """Metrics with a value for each row, and those of the whole catalogue."""
    values, covered = {}, {}
    people, width = trained.shape
    for metric in wanted:
        if metric.name == "coverage":
            covered[str(metric)] = coverage(found.answers, width, metric.k)
        elif metric.name == "novelty":
            counts = torch.from_numpy(np.bincount(trained.indices, minlength=width).astype(np.int64))
            values[str(metric)] = novelty(found.answers, counts, people, metric.k)
        else:
            values[str(metric)] = METRICS[metric.name](found.judged, metric.k)
    return values, covered


def _evaluation(
    values: Mapping[str, Float64[Tensor, " rows"]], covered: Mapping[str, float], rows: Rows, skipped: int
) -> Evaluation:
    summaries = {name: summarise(one) for name, one in values.items()}
    means = {name: summary.mean for name, summary in summaries.items()} | dict(covered)
    errors = {name: summary.standard_error for name, summary in summaries.items()}
    return Evaluation(means, errors, values, torch.from_numpy(rows), skipped)


def _check(
    ranker: Ranker,
    history: csr_array,
    held_out: csr_array,
    inputs: csr_array | Tensors,
    batch_size: int,
) -> None:
    if batch_size < 1:
        raise SettingError(f"batch_size is {batch_size}", expected="at least 1")
    if history.shape != held_out.shape:
        raise InputError(f"held_out of shape {held_out.shape}", expected=f"{history.shape}, the shape of history")
    if history.shape[1] != ranker.width:
        raise InputError(f"history of {history.shape[1]} columns", expected=f"{ranker.width}, the width of the ranker")
    rows = inputs.shape[0] if isinstance(inputs, csr_array) else inputs.size
    if rows != history.shape[0]:
        raise InputError(f"inputs of {rows} rows", expected=f"{history.shape[0]}, as in history")


def _take(matrix: csr_array, rows: Rows) -> csr_array:
    return matrix if len(rows) == matrix.shape[0] else matrix[rows]


def _inputs(inputs: csr_array | Tensors, rows: Rows, device: torch.device | None) -> Tensors:
    if isinstance(inputs, csr_array):
        return _bags(_take(inputs, rows), device)
    return inputs.take(torch.from_numpy(rows).to(inputs.device))


def _bags(matrix: csr_array, device: torch.device | None) -> Bags:
    lists = from_csr(matrix, device)
    weights = torch.from_numpy(matrix.data.astype(np.float32, copy=False)).to(lists.rows.device)
    return Bags(lists.rows, lists.offsets, weights)
