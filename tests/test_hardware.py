"""Which processors multiply bf16: by what they say and by a trial that is kept, not by the one at hand."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from isthmus.errors import SettingError
from isthmus.machine import bf16_trial, hardware
from isthmus.machine.devices import named_device
from isthmus.machine.hardware import multiplies_bf16

FAST, SLOW = (0.001, 0.002), (0.003, 0.002)
"""Seconds in bf16 and in fp32, of a processor that gains and of one that loses."""


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[float, float]]:
    """What trials come to, the next one last; no environment variable says anything."""
    for name in (*hardware.LIMITS, hardware.CHOICE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(bf16_trial.PLACE, str(tmp_path / "cache"))
    monkeypatch.setattr(bf16_trial, "_known", {})
    monkeypatch.setattr(hardware, "_onednn", lambda: True)
    outcomes: list[tuple[float, float]] = []
    monkeypatch.setattr(bf16_trial, "timed", outcomes.pop)
    return outcomes


def has(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(names, True) | {"l1d_cache_size": 49152})


def test_amx_needs_no_trial(trials: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, "amx_bf16", "avx512_bf16", "avx512_f")
    assert multiplies_bf16("cpu") is True
    assert not Path(os.environ[bf16_trial.PLACE]).exists()


@pytest.mark.parametrize("names", [("avx512_bf16",), ("neon", "bf16"), ("avx2",), ("of a time to come",), ()])
@pytest.mark.parametrize(("seconds", "expected"), [(FAST, True), (SLOW, False), ((0.0019, 0.002), False)])
def test_of_other_processors_one_trial_is_made_and_kept(
    names: tuple[str, ...],
    seconds: tuple[float, float],
    expected: bool,
    trials: list[tuple[float, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has(monkeypatch, *names)
    trials.append(seconds)
    assert multiplies_bf16("cpu") is expected
    bf16_trial._known.clear()  # as in the next process
    assert multiplies_bf16("cpu") is expected
    assert trials == []


def test_kernels_that_are_kept_from_amx_are_tried(
    trials: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, "amx_bf16", "avx512_bf16")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    trials.append(SLOW)
    assert multiplies_bf16("cpu") is False


def test_another_release_or_processor_is_tried_again(
    trials: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trials.extend([SLOW, FAST, SLOW])
    found = []
    for names, release in ((("avx2",), "2.13.0"), (("avx2",), "3.0.0"), (("avx2", "avx512_f"), "3.0.0")):
        has(monkeypatch, *names)
        monkeypatch.setattr(torch, "__version__", release)
        found.append(multiplies_bf16("cpu"))
    assert found == [False, True, False]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"faster": 1}', '{"faster": null}'])
def test_what_says_nothing_is_written_again(
    content: str, trials: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, "avx2")
    trials.append(FAST)
    multiplies_bf16("cpu")
    (place,) = Path(os.environ[bf16_trial.PLACE]).iterdir()
    place.write_text(content, encoding="utf-8")
    bf16_trial._known.clear()
    trials.append(SLOW)
    assert multiplies_bf16("cpu") is False
    assert json.loads(place.read_text(encoding="utf-8"))["faster"] is False
    assert list(place.parent.iterdir()) == [place]


def _race(place: str, own: tuple[float, float], barrier, answers) -> None:
    """A process that finds nothing kept, together with others of another outcome."""

    def timed() -> tuple[float, float]:
        barrier.wait()
        return own

    bf16_trial.timed = timed  # type: ignore[assignment]
    os.environ[bf16_trial.PLACE] = place
    answers.put(bf16_trial.outcome({"processor": "any"}))


def test_processes_that_try_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()
    tries = [
        context.Process(target=_race, args=(str(tmp_path), FAST if number % 2 else SLOW, barrier, answers))
        for number in range(4)
    ]
    for one in tries:
        one.start()
    found = {answers.get(timeout=60) for _ in tries}
    for one in tries:
        one.join()
    assert len(found) == 1


@pytest.mark.parametrize(("name", "expected"), [("avx512_bf16", True), ("bf16", True), ("avx512_f", False)])
def test_where_nothing_can_be_kept_the_names_decide(
    name: str, expected: bool, trials: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv(bf16_trial.PLACE, str(tmp_path / "a file" / "cache"))
    has(monkeypatch, name)
    assert multiplies_bf16("cpu") is expected


def test_without_a_home_there_is_no_trial(trials: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(bf16_trial.PLACE)
    monkeypatch.setattr(Path, "home", homeless)
    has(monkeypatch, "avx2")
    assert multiplies_bf16("cpu") is False


@pytest.mark.parametrize(("wish", "expected"), [("on", True), ("off", False)])
def test_an_environment_variable_overrules(
    wish: str, expected: bool, trials: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, "avx2" if expected else "amx_bf16")
    monkeypatch.setenv(hardware.CHOICE, wish)
    assert multiplies_bf16("cpu") is expected


def test_another_value_of_it_is_refused(trials: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hardware.CHOICE, "maybe")
    with pytest.raises(SettingError, match="ISTHMUS_BF16='maybe'; expected on or off"):
        multiplies_bf16("cpu")


def test_a_trial_times_both() -> None:
    assert all(seconds > 0 for seconds in bf16_trial.timed())


def test_the_processor_has_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert hardware.processor()
    assert hardware.instructions() in ("amx", "avx512-bf16", "avx512", "avx2", "arm-bf16", "arm", "other")
    of_arm = tmp_path / "cpuinfo"
    of_arm.write_text("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n\nprocessor\t: 1\n")
    monkeypatch.setattr(hardware, "CPUINFO", of_arm)
    hardware._described.cache_clear()
    assert hardware.processor() == "CPU implementer 0x41 CPU part 0xd40"
    hardware._described.cache_clear()


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
