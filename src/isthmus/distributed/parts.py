"""Tensors, some of them distributed by rows, in safetensors files that several processes write and any number reads.

PyTorch's distributed checkpoints write and read them. ``DTensor`` only labels the rows of a process for these; it is
not used for computations.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Shard

from isthmus.distributed.row_shard import spans
from isthmus.distributed.talk import Talk, answered
from isthmus.errors import BundleError


def write(folder: Path, tensors: Mapping[str, Tensor], cut: Mapping[str, int], talk: Talk) -> dict[str, Any]:
    """Write tensors: each process writes its own rows, and replicated tensors are written once.

    Args:
        folder: empty, and the same for all processes.
        tensors: tensors on the CPU; for distributed ones, the rows of this process.
        cut: total number of rows of each distributed tensor.
        talk: connection to the processes that have all rows together.

    Returns:
        Size and SHA-256 of each file, which the leader records.

    Raises:
        TrainingError: a process could not write its part, or ended.
    """
    mesh = _mesh(talk)
    labelled = {name: _labelled(tensor, cut[name], mesh) if name in cut else tensor for name, tensor in tensors.items()}
    with answered(), _quiet():
        writer = HuggingFaceStorageWriter(path=str(folder), save_distributed=True)
        save(labelled, storage_writer=writer, process_group=talk.group)
    talk.wait()
    return {} if not talk.leads else {path.name: _stamp(path) for path in sorted(folder.iterdir())}


def read(folder: Path, described: Mapping[str, Mapping[str, Any]], talk: Talk) -> dict[str, Tensor]:
    """Read tensors; for distributed ones, the rows of this process.

    Args:
        folder: the folder that ``write`` filled.
        described: the result of ``described`` for the written tensors.
        talk: connection to the processes that have all rows together now.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        TrainingError: a process could not read its part, or ended.
    """
    mesh, state, found = _mesh(talk), dict[str, Tensor](), dict[str, Tensor]()
    for name, one in described.items():
        shape, dtype = list(one["shape"]), getattr(torch, one["dtype"])
        if one["cut"]:
            own = spans(shape[0], talk.size)[talk.rank]
            found[name] = torch.empty(own.stop - own.start, *shape[1:], dtype=dtype)
            state[name] = _labelled(found[name], shape[0], mesh)
        else:
            state[name] = found[name] = torch.empty(shape, dtype=dtype)
    with answered(), _quiet():
        load(state, storage_reader=HuggingFaceStorageReader(path=str(folder)), process_group=talk.group)
    return found


def described(tensors: Mapping[str, Tensor], cut: Mapping[str, int]) -> dict[str, Any]:
    """Shape, type, and whether it is distributed by rows, for each tensor, as a JSON document."""
    return {
        name: {
            "shape": [cut[name], *tensor.shape[1:]] if name in cut else list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "cut": name in cut,
        }
        for name, tensor in tensors.items()
    }


def checked(folder: Path, document: str, tensors: str) -> dict[str, Any]:
    """The document of a checkpoint, after a check that its files are unaltered.

    Args:
        folder: folder of the checkpoint.
        document: name of the file that lists the others under ``files``.
        tensors: name of the folder with the files.

    Raises:
        BundleError: files are missing or were altered.
    """
    try:
        about: dict[str, Any] = json.loads((folder / document).read_text(encoding="utf-8"))
        for name, stamp in about["files"].items():
            if Path(name).name != name or _stamp(folder / tensors / name) != stamp:
                raise BundleError(f"{name!r} of {folder.name} was altered: its SHA-256 is another")
        for one in about["tensors"].values():
            if not isinstance(getattr(torch, one["dtype"]), torch.dtype):
                raise BundleError(f"{folder.name} holds numbers of type {one['dtype']!r}")
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder.name} is not whole ({error})") from error
    return about


def _mesh(talk: Talk) -> DeviceMesh:
    if talk.group is not None:
        return DeviceMesh.from_group(talk.group, "cpu")
    with answered():
        return init_device_mesh("cpu", (talk.size,))


def _labelled(rows: Tensor, width: int, mesh: DeviceMesh) -> DTensor:
    shape = torch.Size([width, *rows.shape[1:]])
    stride = torch.empty(shape, device="meta").stride()
    return DTensor.from_local(rows, mesh, [Shard(0)], run_check=False, shape=shape, stride=stride)


class _quiet:  # noqa: N801
    """Inside this context, PyTorch's checkpoints do not log what they skip."""

    def __enter__(self) -> None:
        self._logger = logging.getLogger("torch.distributed.checkpoint")
        self._before = self._logger.level
        self._logger.setLevel(logging.ERROR)

    def __exit__(self, *error: object) -> None:
        self._logger.setLevel(self._before)


def _stamp(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}
