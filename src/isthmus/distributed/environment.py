"""What ``torchrun`` tells a process, and the network interface that it may use."""

from __future__ import annotations

import os
import socket

from isthmus.errors import SettingError

INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
"""Environment variables by which the libraries that carry the numbers are told their network interface."""


def number(name: str, missing: int) -> int:
    """A number of the environment.

    Raises:
        SettingError: something else than a number.
    """
    text = os.environ.get(name, str(missing))
    if not text.isdecimal():
        raise SettingError(f"{name}={text!r} in the environment", expected="a number, as torchrun sets it")
    return int(text)


def check_started() -> None:
    """Ask whether ``torchrun``, or something like it, started this process.

    Raises:
        SettingError: nobody did.
    """
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise SettingError(
            "shard='rows' in a process that torchrun did not start",
            expected=f"{', '.join(missing)} in the environment",
            remedy="start it as torchrun --nproc-per-node 4 SCRIPT.py",
            option="start it as torchrun --nproc-per-node 4 -m isthmus fit interactions ...",
        )


def bind() -> None:
    """Let processes of one machine talk over its loopback interface, unless the environment names another one. NCCL
    reads that name when tensors first meet, so that it stays in the environment of this process.

    Raises:
        SettingError: several machines, and the environment names no interface: a process group must not listen on a
            network that is not trusted, so that none is chosen for the user.
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
