"""The environment variables of ``torchrun``, and the choice of the network interface."""

from __future__ import annotations

import os
import socket

from isthmus.errors import SettingError

INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
"""Environment variables that select the network interface of the communication libraries."""


def number(name: str, missing: int) -> int:
    """The number in an environment variable.

    Raises:
        SettingError: its value is not a number.
    """
    text = os.environ.get(name, str(missing))
    if not text.isdecimal():
        raise SettingError(f"{name}={text!r} in the environment", expected="a number, as torchrun sets it")
    return int(text)


def check_started() -> None:
    """Check that ``torchrun``, or a similar launcher, started this process.

    Raises:
        SettingError: it did not.
    """
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise SettingError(
            "shard in a process that torchrun did not start",
            expected=f"{', '.join(missing)} in the environment",
            remedy="start it as torchrun --nproc-per-node 4 SCRIPT.py",
            option="start it as torchrun --nproc-per-node 4 -m isthmus fit interactions ...",
        )


def bind() -> None:
    """Let processes of one machine communicate over its loopback interface, unless the environment names another one.
    NCCL reads the name at the first communication, so it stays in the environment of this process.

    Raises:
        SettingError: several machines, and the environment names no interface: a process group must not listen on a
            network that is not trusted, so none is chosen automatically.
    """
    told = [name for name in INTERFACES if os.environ.get(name)]
    if number("WORLD_SIZE", 1) > number("LOCAL_WORLD_SIZE", 1) and not told:
        raise SettingError(
            "processes on several machines without a network interface",
            expected="the name of the private one in GLOO_SOCKET_IFNAME (and in NCCL_SOCKET_IFNAME with CUDA)",
            remedy="export GLOO_SOCKET_IFNAME=eth1, say, before torchrun",
        )
    if not told:
        os.environ |= dict.fromkeys(INTERFACES, _loopback())


def _loopback() -> str:
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    return names[0] if names else "lo"
