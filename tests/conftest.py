"""Two processes share the tests (``-n 0`` asks for one): each, and what it starts, keeps to one core, unless
``OMP_NUM_THREADS`` says otherwise."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

# Started in the background of a shell, where Ctrl-C is ignored, tests of Ctrl-C would wait for ever in what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes are named by their argument: what packs them may write the time of day, and then no two processes collect
    the same tests."""
    return argname if isinstance(val, bytes) else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that need a GPU are asked for by their mark; where there is none they are skipped."""
    if item.get_closest_marker("gpu") is not None and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
