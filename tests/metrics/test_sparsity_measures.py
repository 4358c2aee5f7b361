"""Sparsity and unexplained variance, by hand."""

import pytest
import torch

from isthmus.errors import InputError
from isthmus.metrics.sparsity import fraction_unexplained, sparsity_of


def test_active_and_dead_units_by_hand():
    codes = torch.tensor([[0.0, 2.0, 0.0, -1.0], [0.0, 0.5, 0.0, 0.0]])
    found = sparsity_of(codes)
    assert (found.active, found.dead) == (1.5, 0.5)
    assert sparsity_of(codes, threshold=0.7).active == 1.0
    assert sparsity_of(codes, threshold=5.0).dead == 1.0


def test_the_mean_explains_nothing_and_the_rows_themselves_everything():
    rows = torch.randn(30, 2, 3, generator=torch.Generator().manual_seed(0)) + 7
    assert fraction_unexplained(rows, rows) == 0
    assert fraction_unexplained(rows, rows.mean(0).expand_as(rows)) == pytest.approx(1)
    wanted = float((0.5 * (rows - rows.mean(0))).square().sum() / (rows - rows.mean(0)).square().sum())
    assert fraction_unexplained(rows, (rows + rows.mean(0)) / 2) == pytest.approx(wanted)


def test_nothing_to_measure():
    with pytest.raises(InputError, match="no codes"):
        sparsity_of(torch.zeros(0, 3))
    for rows in (torch.zeros(0, 3), torch.ones(4, 3)):
        with pytest.raises(InputError, match="without any spread"):
            fraction_unexplained(rows, rows)
