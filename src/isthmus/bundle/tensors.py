"""Saves the tensors of a module by name, each once, and loads them again.

Tied parameters (one table used in two places) have two names in a state dict but share their storage. ``state_of``
keeps the first name; ``load_state`` copies in place, so that all aliases are updated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from isthmus.disk import told_by_system
from isthmus.errors import BundleError, InputError


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """The module's parameters and persistent buffers on the CPU, contiguous, without aliases.

    Returns:
        Tensors by name. They may share memory with the module, so copy them before the module changes.

    Raises:
        InputError: the module keeps state that is not a tensor.
    """
    kept: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in own_tensors(module).items():
        storage = tensor.untyped_storage().data_ptr()
        # Two different views of one storage are not aliases, but file formats reject them: the second becomes a copy.
        plain = tensor.clone() if storage in storages and tensor.numel() else tensor
        storages.add(storage)
        kept[name] = plain.cpu().contiguous()
    return kept


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a file, with the permissions that any new file gets.

    Raises:
        InputError: tensors that the format does not support.
        OSError: the disk is full or not writable.
    """
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(dict(tensors), path)
    except (RuntimeError, ValueError, TypeError, SafetensorError) as error:
        told = told_by_system(error, path)
        if told is not None:
            raise told from error
        raise InputError(
            f"tensors that cannot be stored ({' '.join(str(error).split())[:200]})", remedy="use state_of"
        ) from error
    # safetensors creates a file that only its owner may read.
    path.chmod(mode & 0o777)


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a part of a model, with ``prefix`` added to their names."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The inverse of ``named``: the tensors of a part under their own names."""
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}


def load_state(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the tensors of ``state_of`` into a module with the same structure, in place.

    Raises:
        BundleError: names, shapes or types differ from the module's; nothing is copied then.
    """
    own = own_tensors(module)
    missing, unexpected = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unexpected:
        found = "; ".join(part for part in (_listed("lacks", missing), _listed("has", unexpected)) if part)
        raise BundleError(f"the saved state {found}", expected=f"the {len(own)} tensors of this model")
    for name, tensor in own.items():
        given = tensors[name]
        if given.shape != tensor.shape or given.dtype != tensor.dtype:
            raise BundleError(
                f"{name} is {_described(given)}", expected=_described(tensor), remedy="the bundle is for another model"
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The module's parameters and persistent buffers themselves, not copied, each under its first name.

    Raises:
        InputError: the module keeps state that is not a tensor.
    """
    first: dict[tuple[object, ...], str] = {}
    state = {}
    for name, tensor in module.state_dict().items():
        if not isinstance(tensor, Tensor):
            raise InputError(f"{name} holds a {type(tensor).__name__}", expected="tensors only", remedy="use a buffer")
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride())
        # Empty tensors all have the address 0 but are not aliases of each other.
        if tensor.numel() == 0 or first.setdefault((*place, tensor.dtype, tensor.device), name) == name:
            state[name] = tensor.detach()
    return state


def _listed(verb: str, names: list[str]) -> str:
    return f"{verb} {', '.join(map(repr, names[:5]))}{' ...' if len(names) > 5 else ''}" if names else ""


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
