"""``Run.gather``: keywords of ``fit`` one by one, or as one object."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus.errors import SettingError
from isthmus.training.determinism import FIXED, WORKSPACE, deterministic
from isthmus.training.progress import NoProgress
from isthmus.training.run import Run


def test_keywords_are_gathered() -> None:
    run = Run.gather(None, 3, "cpu", "fp32", False, "here", True, 60.0)
    assert (run.seed, run.device, run.precision, run.resume, run.time_limit) == (3, "cpu", "fp32", True, 60.0)
    assert run.checkpoints == Path("here")
    assert isinstance(run.progress, NoProgress)


def test_a_whole_run_is_taken_as_it_is() -> None:
    run = Run(seed=3)
    assert Run.gather(run) is run
    assert Run.gather(run, device="cpu", default=Run(device="cpu")) is run


@pytest.mark.parametrize(
    "twice",
    [{"seed": 1}, {"device": "cpu"}, {"progress": False}, {"checkpoints": "a"}, {"time_limit": 5.0}],
)
def test_both_at_once_are_refused(twice: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=f"run= together with {next(iter(twice))}"):
        Run.gather(Run(), **twice)


def test_resume_needs_a_place() -> None:
    with pytest.raises(SettingError, match="resume"):
        Run.gather(resume=True)


def test_a_deterministic_run_restores_the_settings_of_the_process() -> None:
    workspace = os.environ.get(WORKSPACE)
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ[WORKSPACE] in FIXED
    assert not torch.are_deterministic_algorithms_enabled()
    assert os.environ.get(WORKSPACE) == workspace


def test_another_error_inside_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="something else"), deterministic(True):
        raise RuntimeError("something else")
    assert not torch.are_deterministic_algorithms_enabled()
