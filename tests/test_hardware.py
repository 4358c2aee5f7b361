"""Which processors multiply bf16: by what they say of themselves, not by the one at hand."""

from __future__ import annotations

import pytest
import torch

from isthmus.errors import SettingError
from isthmus.machine.devices import named_device
from isthmus.machine.hardware import multiplies_bf16


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True, "avx512_f": True}, True),
        ({"amx_bf16": False, "avx512_bf16": True, "avx512_f": True}, True),
        ({"amx_bf16": False, "avx512_bf16": False, "avx512_f": True}, False),
        ({"avx2": True}, False),
        ({}, False),
    ],
    ids=["sapphire rapids", "zen 4", "skylake", "haswell", "unknown"],
)
def test_on_a_cpu(said: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: said)
    assert multiplies_bf16("cpu") is expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_on_cuda(capability: tuple[int, int], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert multiplies_bf16("cuda") is expected


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert named_device("cpu") == torch.device("cpu")
    assert named_device("auto").type == "cuda"
    assert named_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(SettingError, match="cuda:2, and 2 of its kind here"):
        named_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-1"])
def test_names_of_no_device(name: str) -> None:
    with pytest.raises(SettingError, match="expected auto, cpu, cuda"):
        named_device(name)


def test_a_device_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert named_device("auto") == torch.device("cpu")
    with pytest.raises(SettingError, match="none of its kind here"):
        named_device("cuda")
