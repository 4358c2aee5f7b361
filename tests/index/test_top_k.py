"""Selection by groups of columns against a stable sort of everything."""

import pytest
import torch

from isthmus.errors import ValueRangeError
from isthmus.index.exact.top_k import FEWEST_GROUPS, GROUP, best_of


def reference(scores, k):
    values, columns = scores.sort(dim=1, descending=True, stable=True)
    return values[:, :k], columns[:, :k]


@pytest.mark.parametrize(("k", "extra", "levels"), [(1, 5, 7), (3, 0, 2), (3, 5, 1000), (20, 5, 7), (20, 0, None)])
def test_groups_give_what_a_sort_gives_ties_included(k, extra, levels):
    width = GROUP * FEWEST_GROUPS * (k + 1) * 2 + extra
    scores = torch.randn(40, width, generator=torch.Generator().manual_seed(k))
    if levels is not None:
        scores = (scores * levels / 4).round()
    scores[3] = -torch.inf
    scores[4, k // 2 + 1 :] = -torch.inf
    found = best_of(scores.clone(), k)
    values, columns = reference(scores, k)
    assert torch.equal(found.scores, values)
    filled = values > -torch.inf
    assert torch.equal(found.columns[filled], columns[filled])


def test_a_nan_is_found_in_any_group():
    scores = torch.zeros(2, 500)
    scores[1, 333] = torch.nan
    with pytest.raises(ValueRangeError, match="NaN"):
        best_of(scores, 3)
