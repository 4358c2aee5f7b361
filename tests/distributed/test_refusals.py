"""What a training with tables cut by rows refuses before it begins."""

import os
from typing import Any

import numpy as np
import pytest

from isthmus.distributed import check_alone, leads
from isthmus.distributed.environment import INTERFACES, bind, check_started
from isthmus.errors import SettingError
from isthmus.training.run import Run
from isthmus_interactions import Recommender
from isthmus_interactions.cold_start.features import ItemFeatures

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
FEATURES = ItemFeatures.of([0, 1], np.eye(2, dtype=np.float32))
EVENTS = (np.arange(60) % 20, np.arange(60) % 7, np.ones(60))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TORCHRUN, *INTERFACES, "TORCHELASTIC_RUN_ID"):
        # Set first, so that what a test leaves in the environment is taken out of it.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def started(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    for name, value in (TORCHRUN | changes).items():
        monkeypatch.setenv(name, value)


def test_another_way_to_cut() -> None:
    with pytest.raises(SettingError, match=r"shard='columns'.*rows"):
        Run(shard="columns")


@pytest.mark.parametrize(("model", "more"), [("auto", {}), ("mult-vae", {"features": FEATURES})])
def test_models_of_all_kinds_and_features(model: str, more: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=r"shard='rows' with (features|model='auto')"):
        Recommender.fit(EVENTS, model, shard="rows", **more)


def test_a_process_that_nobody_started() -> None:
    with pytest.raises(SettingError, match="torchrun --nproc-per-node"):
        Recommender.fit(EVENTS, "mult-vae", shard="rows")


def test_numbers_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, RANK="first")
    check_started()
    with pytest.raises(SettingError, match="RANK='first'"):
        leads(Run(shard="rows"))


def test_the_same_work_four_times(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, TORCHELASTIC_RUN_ID="none")
    with pytest.raises(SettingError, match=r"started 4 times by torchrun; expected shard='rows'"):
        check_alone(Run())
    check_alone(Run(shard="rows"))
    assert not leads(Run(shard="rows"))
    assert leads(Run())


def test_loopback_on_one_machine_and_a_named_interface_on_several(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch)
    bind()
    assert {os.environ[name][:2] for name in INTERFACES} == {"lo"}
    for name in INTERFACES:
        monkeypatch.delenv(name)
    started(monkeypatch, LOCAL_WORLD_SIZE="2")
    with pytest.raises(SettingError, match="GLOO_SOCKET_IFNAME"):
        bind()
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth1")
    bind()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth1"
    assert "NCCL_SOCKET_IFNAME" not in os.environ
