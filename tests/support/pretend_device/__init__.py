"""A pretend accelerator for machines without one.

Its tensors report the device ``pretend:0`` and compute on the CPU. Whatever would fail on CUDA is refused (tensors of
two devices in one operation, a generator of another device, ``numpy()``), whatever would make the host wait is written
down with the line that caused it, and autocast follows CUDA's lists. Numbers equal those of the CPU, so that what a
model does there can be compared with what it does here.

``install()`` changes torch for the whole process: call it in a process of its own, before isthmus is imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

from pretend_device import autocast, tensors
from pretend_device.account import ACCOUNT
from pretend_device.tensors import NAME, DeviceError, OnDevice, dispatch

__all__ = ["ACCOUNT", "MEMORY", "NAME", "DeviceError", "Generator", "OnDevice", "install"]


MEMORY = {"free": 1 << 40}
"""What the device says of its memory; a test sets it."""

MARK = torch.arange(8, dtype=torch.uint8) + 77


class _Backend(_DummyBackendModule):
    """``torch.pretend``."""

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def is_autocast_enabled(self) -> bool:
        return torch.is_autocast_enabled(NAME)

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        """Bytes that are free, and all of them."""
        return MEMORY["free"], 1 << 40

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)

    def synchronize(self, device: Any = None) -> None:
        ACCOUNT.wait("synchronize")


class Generator(torch.Generator):
    """A generator of the CPU that remembers for which device it was asked; so draws equal those of the CPU."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        made = super().__new__(cls, device="cpu")
        made._asked = torch.device(device)
        return made

    def __init__(self, device: Any = "cpu") -> None:
        pass

    def get_state(self) -> torch.Tensor:
        """On the device with a mark behind it, since states of CUDA and of the CPU are not of one size."""
        state = super().get_state()
        return torch.cat([state, MARK]) if self.device.type == NAME else state

    def set_state(self, state: torch.Tensor) -> Generator:
        marked = state[len(state) - len(MARK) :].equal(MARK)
        if marked != (self.device.type == NAME):
            raise DeviceError("RNG state is wrong size")
        super().set_state(state[: len(state) - len(MARK)] if marked else state)
        return self

    @property
    def device(self) -> torch.device:
        return tensors.DEVICE if self._asked.type == NAME else self._asked


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Generators must be of the device of what they fill."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        generator = kwargs.get("generator")
        if isinstance(generator, Generator):
            filled = next((value for value in args if isinstance(value, torch.Tensor)), None)
            device = torch.device(kwargs.get("device") or "cpu") if filled is None else filled.device
            if device.type not in ("meta", generator.device.type):
                name = getattr(func, "__name__", func)
                raise DeviceError(f"{name}: a generator of {generator.device} for a tensor on {device}")
        return func(*args, **kwargs)


def install(without: Iterable[str] = ()) -> None:
    """From now on torch knows the device ``pretend``, without what MPS has not, where that is asked for."""
    tensors.WITHOUT.update(without)
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
    tensors.DEVICE = torch.device(NAME, 0)
    autocast.register(NAME)
    torch.Generator = Generator
    # A wrapper that is an inference tensor has no counter of versions; that no gradient is kept is what matters here.
    torch.inference_mode = lambda mode=True: torch.no_grad()
    torch._C._set_only_lift_cpu_tensors(True)
    torch.autograd.set_multithreading_enabled(False)
    _Functions().__enter__()
    _Dispatch().__enter__()
