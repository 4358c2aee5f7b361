"""Trainings with item tables cut by rows over 1, 2 and 4 processes, or with batches split by groups of them, give what
one process gives."""

import shutil
import signal
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from sharded_runs import JOBS, fitted, interactions
from torchrun import SCRIPT, ended, run_jobs, started, torchrun

from isthmus.errors import SettingError
from isthmus.training.progress import NoProgress
from isthmus.training.run import Run
from isthmus_interactions import Recommender

pytestmark = pytest.mark.slow

EQUAL = 1e-6


@cache
def alone(name: str) -> Recommender:
    return fitted(name, Run(precision="fp32", progress=NoProgress()))


@pytest.mark.parametrize(
    ("processes", "options"), [(1, ""), (2, ""), (4, ""), (4, "--groups 2"), (2, "--shard batches")]
)
def test_losses_scores_and_tables_are_those_of_one_process(processes: int, options: str, tmp_path: Path) -> None:
    run_jobs(processes, tmp_path, *options.split())
    for name in JOBS:
        check_equal(name, Recommender.load(tmp_path / name))


def test_a_killed_process_ends_the_job_which_other_numbers_of_processes_finish(tmp_path: Path) -> None:
    checkpoints, again = tmp_path / "checkpoints", tmp_path / "again"
    job = started(4, str(SCRIPT), str(tmp_path), "sampled", "--checkpoints", str(checkpoints), "--kill", "2:3")
    told = ended(job, 240)
    assert job.returncode != 0
    assert "the other processes of this training do not answer" in told, told[-4000:]
    assert not (tmp_path / "sampled").exists()
    shutil.copytree(checkpoints, again)
    for processes, folder in ((1, checkpoints), (2, again)):
        torchrun(processes, str(SCRIPT), str(tmp_path / str(processes)), "sampled", "--checkpoints", str(folder))
        found = Recommender.load(tmp_path / str(processes) / "sampled")
        check_equal("sampled", found)
    with pytest.raises(SettingError, match="cut by rows"):
        fitted("sampled", Run(checkpoints=checkpoints, resume=True, precision="fp32"))
    files = [path for path in checkpoints.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}


def test_groups_resume_with_other_groups(tmp_path: Path) -> None:
    checkpoints, groups = tmp_path / "checkpoints", ("--groups", "2", "--checkpoints", str(tmp_path / "checkpoints"))
    job = started(4, str(SCRIPT), str(tmp_path), "sampled", *groups, "--kill", "3:3")
    told = ended(job, 240)
    assert job.returncode != 0
    assert "the other processes of this training do not answer" in told, told[-4000:]
    torchrun(2, str(SCRIPT), str(tmp_path), "sampled", *groups)
    check_equal("sampled", Recommender.load(tmp_path / "sampled"))
    assert {path.suffix for path in checkpoints.rglob("*") if path.is_file()} == {".json", ".safetensors"}


def test_the_command_line_speaks_once_and_ctrl_c_keeps_the_best(tmp_path: Path) -> None:
    file, out, checkpoints = tmp_path / "events.csv", tmp_path / "made.bundle", tmp_path / "checkpoints"
    events = interactions().matrix.tocoo()
    lines = [f"u{user},i{item}" for user, item in zip(events.row, events.col, strict=True)]
    file.write_text("\n".join(["user,item", *lines]))
    job = started(
        2, "-m", "isthmus", "fit", "interactions", str(file), "--model", "mult-dae", "--shards", "rows", "--json",
        "--epochs", "100000", "--setting", "code=8", "--out", str(out), "--every", "5", "--checkpoints",
        str(checkpoints),
    )  # fmt: skip
    try:
        until(lambda: any(checkpoints.glob("epoch-*")), 120)
        job.send_signal(signal.SIGINT)
    finally:
        told = ended(job, 60)
    assert told.count('"interrupted": true') == 1, told[-4000:]
    assert Recommender.load(out).recommend([["i1", "i5"]], k=3)[0].ids


def until(there: Callable[[], bool], seconds: float) -> None:
    for _ in range(int(seconds * 20)):
        if there():
            return
        time.sleep(0.05)
    raise AssertionError(f"it is not there after {seconds} s")


def check_equal(name: str, ours: Recommender) -> None:
    one = alone(name)
    losses = torch.tensor([[float(record["loss"]) for record in of.history.records] for of in (ours, one)])
    torch.testing.assert_close(losses[0], losses[1], rtol=EQUAL, atol=0, msg=lambda told: f"{name}: {told}")
    assert ours.history.best_epoch == one.history.best_epoch, name
    assert ours.history.best_score == pytest.approx(one.history.best_score, abs=EQUAL), name
    for key, tensor in one.model.state_dict().items():
        # Attention does not depend on the bias of its keys: their gradient is rounding, which Adam makes large.
        if not key.endswith("query_key_value.bias"):
            found = ours.model.state_dict()[key]
            assert float((found - tensor).abs().max()) <= EQUAL, (name, key)
