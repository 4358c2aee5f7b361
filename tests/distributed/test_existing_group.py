"""A process group that a script made is used, and left as it is; here it has one process, this one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import text_runs
import torch
import torch.distributed as dist
from sharded_runs import fitted

from isthmus.distributed.environment import INTERFACES, bind
from isthmus.errors import SettingError
from isthmus.training.progress import NoProgress
from isthmus.training.run import Run
from isthmus_interactions import Recommender

QUICK = {"code": 4, "epochs": 2, "refit": False}


@pytest.fixture(autouse=True)
def _group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in INTERFACES:
        monkeypatch.setenv(name, "")
    bind()
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_one_process_with_others_that_are_not_there(tmp_path: Path) -> None:
    found = fitted("mult-dae", Run(shard="rows", precision="fp32"), **QUICK)
    one = fitted("mult-dae", Run(precision="fp32", progress=NoProgress()), **QUICK)
    assert dist.is_initialized()
    for name, tensor in one.model.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[name], tensor, rtol=0, atol=1e-6)
    found.save(tmp_path / "bundle")
    assert Recommender.load(tmp_path / "bundle").recommend([[1, 5]], k=3)[0].ids == one.recommend([[1, 5]], k=3)[0].ids


def test_models_that_cannot_be_cut() -> None:
    with pytest.raises(SettingError, match=r"shard='rows' for this model; expected a network over items"):
        fitted("mult-dae", Run(shard="rows"), decay=3)


def test_a_group_without_gloo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "get_backend_config", lambda: "cuda:nccl")
    with pytest.raises(SettingError, match=r"a process group with cuda:nccl.*cpu:gloo"):
        fitted("mult-dae", Run(shard="rows"))


def test_texts_in_one_process_with_others_that_are_not_there(tmp_path: Path) -> None:
    found = text_runs.fitted("transformer", Run(shard="batches", precision="fp32"), epochs=2)
    one = text_runs.fitted("transformer", Run(precision="fp32", progress=NoProgress()), epochs=2)
    for name, tensor in one.model.state_dict().items():
        assert found.model.state_dict()[name].equal(tensor)
    found.model.elsewhere = True
    found.save(tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
