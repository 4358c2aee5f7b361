"""Calls of the public API at random give an answer or a typed error, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.checked.arguments import checked_k, checked_seed, path_of, real, whole
from isthmus.checked.dense import real_numbers
from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus.training.run import Run

SUPPORT = Path(__file__).parent / "support"


def problems(examples: int, faces: str = "") -> list[dict[str, str]]:
    """In a process of its own: the tests' own checks of types would answer in place of the library."""
    known = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), *sys.path])}
    script = [sys.executable, str(SUPPORT / "random_calls.py"), str(examples), *([faces] if faces else [])]
    done = subprocess.run(script, capture_output=True, text=True, env=known)
    assert done.returncode == 0, done.stderr[-4000:]
    found: list[dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_a_few_calls() -> None:
    assert problems(200, "run,index,index ids,ease,vector,detector") == []


@pytest.mark.slow
def test_thousands_of_calls() -> None:
    assert problems(5000) == []


@pytest.mark.parametrize("given", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_whole_numbers(given: object) -> None:
    assert type(checked_k(given)) is int
    assert checked_k(given) == checked_seed(given) == 3


@pytest.mark.parametrize("given", [True, np.bool_(True), torch.tensor(True), 3.0, "3", None, [3, 4], -1, 2**64])
def test_what_is_no_whole_number(given: object) -> None:
    for check in (checked_k, checked_seed):
        with pytest.raises(SettingError, match="whole number"):
            check(given)
    with pytest.raises(SettingError, match="from 0 to 5"):
        whole("beams", given, most=5)


def test_seeds_have_64_bits() -> None:
    assert checked_seed(2**64 - 1) == 2**64 - 1
    with pytest.raises(SettingError, match="seed"):
        Run(seed=2**64)


def test_shares_and_paths(tmp_path: Path) -> None:
    assert real("share", np.float32(0.5), "a share", least=0, most=1) == 0.5
    for wrong in (True, "0.5", None, float("nan"), 1.5, np.zeros(2), 1j):
        with pytest.raises(SettingError, match="a share"):
            real("share", wrong, "a share", least=0, most=1)
    assert path_of("out", str(tmp_path)) == path_of("out", tmp_path) == tmp_path
    for wrong in ("", "a\0b", "\ud800", 3, None, b"a"):
        with pytest.raises(SettingError, match="a path"):
            path_of("out", wrong)


GRID = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "given",
    [
        GRID,
        GRID.astype(">f4"),
        np.asfortranarray(GRID),
        GRID[::-1].copy()[::-1],
        GRID.astype(object),
        GRID.tolist(),
        np.ma.array(GRID),
        torch.from_numpy(GRID.copy()).requires_grad_(),
        torch.from_numpy(GRID.copy()).bfloat16(),
    ],
    ids=lambda given: f"{type(given).__name__}",
)
def test_forms_of_numbers(given: object) -> None:
    found = real_numbers(given)
    assert found.dtype.isnative
    assert np.array_equal(found, GRID)


@pytest.mark.parametrize(
    "given",
    [
        *(GRID.astype(complex), GRID.astype("M8[s]"), GRID.astype(str), [[1], [2, 3]], "1", None, {}, [[10**400]]),
        *(torch.ones(2, 2).to_sparse(), torch.empty(2, device="meta"), np.zeros(2, "i4,f8")),
    ],
)
def test_what_is_no_number(given: object) -> None:
    with pytest.raises(InputError):
        real_numbers(given)


def test_masked_cells_are_refused() -> None:
    with pytest.raises(ValueRangeError, match="masked"):
        real_numbers(np.ma.masked_less(GRID, 2))
