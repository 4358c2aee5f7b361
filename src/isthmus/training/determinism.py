"""Restricts training to deterministic operations, where PyTorch has them; others raise an error.

On a CPU, the same seed always gives the same bits, so there this only affects the speed of some operations. On CUDA,
operations that add numbers in the order in which threads arrive give different bits in every run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from isthmus.errors import SettingError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Environment variable that makes cuBLAS deterministic; it is read at the first matrix product on CUDA."""

FIXED = (":4096:8", ":16:8")
"""Its deterministic values."""


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """If wanted, allow only deterministic operations inside the block; the previous settings are restored afterwards.

    Raises:
        SettingError: an operation of the model has no deterministic form on its device.
    """
    if not wanted:
        yield
        return
    before = _settings()
    workspace = os.environ.get(WORKSPACE)
    if workspace not in FIXED:
        os.environ[WORKSPACE] = FIXED[0]
    # Uninitialised memory that is never read need not be filled.
    _set((True, False, True, False, False))
    try:
        yield
    except RuntimeError as error:
        if "use_deterministic_algorithms" not in str(error):
            raise
        raise _refused(error) from error
    finally:
        _set(before)
        if workspace is None:
            del os.environ[WORKSPACE]
        else:
            os.environ[WORKSPACE] = workspace


_Settings = tuple[bool, bool, bool, bool, bool]


def _settings() -> _Settings:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )


def _set(settings: _Settings) -> None:
    on, warn_only, cudnn, benchmark, fill = settings
    torch.use_deterministic_algorithms(on, warn_only=warn_only)
    torch.backends.cudnn.deterministic = cudnn
    torch.backends.cudnn.benchmark = benchmark
    torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def _refused(error: RuntimeError) -> SettingError:
    operation = str(error).split(" does not have a deterministic", 1)[0]
    told = operation if len(operation) < 80 else "an operation"
    return SettingError(
        f"deterministic=True, and {told} has no deterministic form on this device",
        expected="a model whose operations all have one",
        remedy="train it with device='cpu', where a seed always gives the same weights, or without deterministic",
        option="use --device cpu, where a seed always gives the same weights, or leave --deterministic out",
    )
