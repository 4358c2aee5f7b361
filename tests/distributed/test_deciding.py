"""Several processes decide together: no signal raises where others wait, and all skip the same work."""

import os
import signal

import pytest
import torch

from isthmus.batch import Bags
from isthmus.core.ops.sampled_softmax import sampled_log_prob
from isthmus.training.interrupts import StoppedError, interruptible


def test_a_signal_anywhere_counts_everywhere_and_raises_nowhere() -> None:
    asked: list[bool] = []

    def agreed(here: bool) -> bool:
        asked.append(here)
        return elsewhere or here

    done: list[str] = []
    with interruptible() as stop:
        with stop.jointly(agreed):
            elsewhere = False
            assert not stop.requested
            assert stop.optional(lambda: done.append("before"))
            elsewhere = True
            assert stop.requested
            assert not stop.optional(lambda: done.append("after"))
            elsewhere = False
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
                with stop.held():
                    pass
            assert stop.requested
            assert not stop.attempt(lambda: done.append("after"))
        assert done == ["before"]
        assert asked == [False, False, False, False, True, True]
        with pytest.raises(StoppedError):
            stop.check()


def test_a_part_of_the_columns_without_negatives() -> None:
    g = torch.Generator().manual_seed(0)
    decoded, weight, bias = (torch.randn(*shape, generator=g) for shape in ((2, 3), (4, 3), (4,)))
    bags, nothing = Bags(torch.tensor([0, 2, 3]), torch.tensor([0, 2, 3]), torch.ones(3)), torch.empty(0)
    found = sampled_log_prob(decoded, weight, bias, bags, nothing.long(), nothing)
    logits = decoded @ weight.T + bias
    first = logits[0, [0, 2]]
    expected = torch.stack([(first - first.logsumexp(0)).sum(), torch.tensor(0.0)])
    torch.testing.assert_close(found, expected)
