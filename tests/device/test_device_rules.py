"""The pretend device refuses what CUDA refuses and counts what CUDA costs; training there keeps its promises."""

import pytest
from device_cases.server import Server


def test_what_cuda_refuses_is_refused(pretend: Server) -> None:
    found = pretend("rules", "refusals")
    assert found.pop("a number of the host") == "allowed"
    assert "allowed" not in found.values(), found
    assert len(found) == 7


def test_launches_and_waits_are_counted(pretend: Server) -> None:
    found = pretend("rules", "counts")
    assert found == {"launches": 3, "waits": ["boolean index", "item", "to the host"]}


def test_autocast_has_the_lists_of_cuda(pretend: Server) -> None:
    assert pretend("rules", "autocast") == ["torch.bfloat16", "torch.float32"]


def test_bf16_on_the_device(pretend: Server) -> None:
    low, full = pretend("rules", "bf16", "mult-vae")
    assert low != full
    assert low == pytest.approx(full, rel=0.02)


@pytest.mark.parametrize(("first", "second"), [("cpu", "pretend"), ("pretend", "cpu")])
def test_a_checkpoint_of_another_kind_of_device_is_resumed_and_it_is_said(
    pretend: Server, first: str, second: str
) -> None:
    found = pretend("rules", "resumed_elsewhere", first, second)
    assert (found["epochs"], found["device"]) == (4, second)
    assert len(found["said"]) == 1
    assert found["losses"][-1] < found["losses"][0]


def test_early_stopping_is_that_of_the_cpu(pretend: Server) -> None:
    here, there = pretend("rules", "early_stopping")
    assert here == there
    assert here[2]


def test_detectors_and_compressors(pretend: Server) -> None:
    assert pretend("rules", "detected") < 1e-4
    assert pretend("rules", "vectors_of_a_compressor") == {"codes": "True"}


@pytest.mark.slow
def test_the_default_model_is_trained_and_asked_on_the_device(pretend: Server) -> None:
    assert pretend("rules", "auto") == {"device": "pretend", "found": [5, 5]}
