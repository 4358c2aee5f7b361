from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bags
from isthmus.errors import InputError, SettingError
from isthmus.metrics.ranking import METRICS, judge, novelty, summarise
from isthmus.protocols import Columns
from isthmus.tasks.evaluation import MetricAt, evaluate
from isthmus.testing.searcher import brute_force, row_lists


@dataclass(frozen=True)
class Linear:
    """Each row times a matrix."""

    matrix: Tensor

    @property
    def width(self) -> int:
        return self.matrix.shape[1]

    def prepare(self, inputs: Bags) -> Tensor:
        zero = torch.zeros(inputs.size, self.width)
        return zero.index_add(0, inputs.rows(), self.matrix[inputs.indices] * inputs.weights[:, None])

    def scores(self, state: Tensor, columns: Columns = None) -> Tensor:
        return state[:, slice(None) if columns is None else columns]


WIDTH = 30
RANKER = Linear(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(0)))


def problem(rows: int = 23) -> tuple[csr_array, csr_array]:
    random = np.random.default_rng(1)
    held = random.random((rows, WIDTH))
    hidden = held > 0.9
    hidden[[2, 7]] = False
    return csr_array((held < 0.2).astype(float)), csr_array(hidden.astype(float))


def lists(matrix: csr_array) -> list[list[int]]:
    return [part.tolist() for part in np.split(matrix.indices, matrix.indptr[1:-1])]


@pytest.mark.parametrize("batch_size", [1, 5, 4096])
def test_evaluation_is_that_of_dense_scores(batch_size: int):
    history, held_out = problem()
    names = [f"{name}@{k}" for name in METRICS for k in (3, 10)] + ["novelty@4", "coverage@2"]
    found = evaluate(RANKER, history, held_out, names, batch_size=batch_size)
    counted = [row for row in range(23) if lists(held_out)[row]]
    assert found.rows.tolist() == counted
    assert found.skipped == 23 - len(counted) >= 2
    dense = torch.from_numpy(history.toarray()).float() @ RANKER.matrix
    ranked = torch.tensor(brute_force(dense, 10, lists(history))[0])[counted]
    judged = judge(ranked, row_lists([lists(held_out)[row] for row in counted]))
    for name in METRICS:
        for k in (3, 10):
            assert torch.equal(found.values[f"{name}@{k}"], METRICS[name](judged, k))
            summary = summarise(METRICS[name](judged, k))
            assert found.means[f"{name}@{k}"] == summary.mean
            assert found.standard_errors[f"{name}@{k}"] == summary.standard_error
    counts = torch.from_numpy((history.toarray() > 0).sum(0))
    assert torch.equal(found.values["novelty@4"], novelty(ranked, counts, 23, 4))
    assert found.means["coverage@2"] == len(set(ranked[:, :2].flatten().tolist())) / WIDTH
    assert "coverage@2" not in found.standard_errors
    assert list(found.means) == [*[name for name in names if name != "coverage@2"], "coverage@2"]


def test_the_ranker_may_read_other_inputs_than_are_excluded():
    history, held_out = problem()
    other = csr_array(history[::-1])
    found = evaluate(RANKER, history, held_out, ["hit@5"], inputs=other)
    dense = torch.from_numpy(other.toarray()).float() @ RANKER.matrix
    ranked = torch.tensor(brute_force(dense, 5, lists(history))[0])
    values = METRICS["hit"](judge(ranked, row_lists(lists(held_out))), 5)
    assert torch.equal(found.values["hit@5"], values[found.rows])


def test_a_perfect_ranker_is_perfect():
    history, held_out = problem()
    answers = Linear(torch.eye(WIDTH))
    found = evaluate(answers, history, held_out, ["recall@30", "ndcg@30", "mrr@1"], inputs=held_out)
    assert list(found.means.values()) == pytest.approx([1, 1, 1])


def test_k_beyond_the_columns_is_defined():
    history, held_out = problem()
    found = evaluate(RANKER, history, held_out, ["recall@50", "precision@50"])
    assert found.means["recall@50"] == 1
    assert found.values["precision@50"][0] == len(lists(held_out)[0]) / 50


def test_nothing_held_out_has_no_mean():
    history, _ = problem()
    found = evaluate(RANKER, history, csr_array((23, WIDTH)), ["recall@5", "coverage@5"])
    assert math.isnan(found.means["recall@5"])
    assert found.means["coverage@5"] == 0
    assert (found.skipped, len(found.rows)) == (23, 0)


def test_metric_names_are_read():
    assert MetricAt.parse("recall_capped@20") == MetricAt("recall_capped", 20)
    assert str(MetricAt("ndcg", 100)) == "ndcg@100"


@pytest.mark.parametrize("name", ["recall", "recall@0", "recall@", "auc@10", "recall@ten", "@3", "recall@-1"])
def test_unknown_metrics_are_refused_with_those_there_are(name: str):
    history, held_out = problem()
    with pytest.raises(SettingError, match="recall, recall_capped, precision, ndcg, map, mrr, hit, novelty, coverage"):
        evaluate(RANKER, history, held_out, [name])


def test_what_does_not_fit_is_refused():
    history, held_out = problem()
    with pytest.raises(SettingError, match="no metrics"):
        evaluate(RANKER, history, held_out, [])
    with pytest.raises(SettingError, match="batch_size is 0"):
        evaluate(RANKER, history, held_out, batch_size=0)
    with pytest.raises(InputError, match="held_out of shape"):
        evaluate(RANKER, history, csr_array(held_out[:5]))
    with pytest.raises(InputError, match="history of 29 columns"):
        evaluate(RANKER, csr_array(history[:, :29]), csr_array(held_out[:, :29]))
    with pytest.raises(InputError, match="inputs of 4 rows"):
        evaluate(RANKER, history, held_out, inputs=csr_array(history[:4]))
