"""Which processors multiply bf16: by what they say of themselves, not by the one at hand."""

from __future__ import annotations

import pytest
import torch

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
