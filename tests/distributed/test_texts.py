"""Trainings on texts whose batches are split over several processes give what one process gives."""

import signal
import time
from functools import cache
from pathlib import Path

import pytest
import text_runs
import tiny_bert
import torch
from torchrun import TEXT_SCRIPT, ended, run_jobs, started, torchrun

from isthmus.training.progress import NoProgress
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder

pytestmark = pytest.mark.slow

EQUAL = 1e-6
ROUNDING = ("query_key_value.bias", "self.key.bias")
"""Attention does not depend on the bias of its keys: their gradient is rounding, which Adam makes large."""


@pytest.fixture(autouse=True)
def _checkpoint(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_bert.bert().save_pretrained(folder)
    monkeypatch.setenv(text_runs.CHECKPOINT, str(tiny_bert.save_tokenizer(folder)))


@cache
def alone(name: str) -> TextAutoencoder:
    return text_runs.fitted(name, Run(precision="fp32", progress=NoProgress()))


def check_equal(name: str, ours: TextAutoencoder) -> None:
    one = alone(name)
    losses = torch.tensor([[float(record["loss"]) for record in of.history.records] for of in (ours, one)])
    torch.testing.assert_close(losses[0], losses[1], rtol=EQUAL, atol=0, msg=lambda told: f"{name}: {told}")
    assert ours.history.best_epoch == one.history.best_epoch, name
    assert ours.history.stopped_early == one.history.stopped_early, name
    assert ours.history.best_score == pytest.approx(one.history.best_score, rel=EQUAL), name
    for key, tensor in one.model.state_dict().items():
        if not key.endswith(ROUNDING):
            found = ours.model.state_dict()[key]
            assert float((found - tensor).abs().max()) <= EQUAL, (name, key)


@pytest.mark.parametrize("processes", [2, 3])
def test_losses_scores_and_weights_are_those_of_one_process(processes: int, tmp_path: Path) -> None:
    run_jobs(processes, tmp_path, script=TEXT_SCRIPT)
    for name in text_runs.JOBS:
        check_equal(name, TextAutoencoder.load(tmp_path / name))
    assert alone("patient").history.stopped_early


def test_a_killed_process_ends_the_job_which_several_and_one_finish(tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    options = ("transformer", "--checkpoints", str(checkpoints))
    job = started(2, str(TEXT_SCRIPT), str(tmp_path / "killed"), *options, "--kill", "1:3")
    told = ended(job, 240)
    assert job.returncode != 0
    assert "the other processes of this training do not answer" in told, told[-4000:]
    assert not (tmp_path / "killed").exists()
    run = Run(checkpoints=checkpoints, resume=True, precision="fp32", progress=NoProgress())
    # As many epochs as were finished, and one more.
    done = max(int(path.name.removeprefix("epoch-")) for path in checkpoints.glob("epoch-*"))
    partly = text_runs.fitted("transformer", Run(**{**vars(run), "until": done + 1}))
    assert partly.history.epochs == done + 1
    torchrun(2, str(TEXT_SCRIPT), str(tmp_path), *options)
    check_equal("transformer", TextAutoencoder.load(tmp_path / "transformer"))


def test_the_command_line_speaks_once_and_ctrl_c_keeps_the_best(tmp_path: Path) -> None:
    file, out, checkpoints = tmp_path / "texts.txt", tmp_path / "made.bundle", tmp_path / "checkpoints"
    file.write_text("\n".join(text_runs.texts()))
    job = started(
        2, "-m", "isthmus", "fit", "text", str(file), "--json", "--epochs", "100000", "--setting", "code=8",
        "--setting", "hidden=16", "--setting", "heads=2", "--tokenizer", "word", "--out", str(out), "--every", "5",
        "--checkpoints", str(checkpoints),
    )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while not any(checkpoints.glob("epoch-*")) and time.monotonic() < until:
            time.sleep(0.05)
        job.send_signal(signal.SIGINT)
    finally:
        told = ended(job, 60)
    assert told.count('"interrupted": true') == 1, told[-4000:]
    assert TextAutoencoder.load(out).encode(["the cat sat"]).shape == (1, 8)
