"""A tensor that says it is on the pretend device, and what may be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from pretend_device.account import ACCOUNT
from pretend_device.lstm import CELLS

NAME = "pretend"
DEVICE = torch.device("cpu")  # Replaced by ``install``, once torch knows the name.

aten = torch.ops.aten


class DeviceError(RuntimeError):
    """What CUDA would have refused."""


class OnDevice(torch.Tensor):
    """A tensor of the pretend device; its numbers are in ``inner``, on the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OnDevice:
        assert not isinstance(inner, OnDevice)
        strided = inner.layout == torch.strided
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset()} if strided else {}
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, dtype=inner.dtype, layout=inner.layout, device=DEVICE,
            requires_grad=inner.requires_grad, **layout,
        )  # fmt: skip
        made.inner = inner
        if inner.dtype in (torch.float64, torch.complex128) and "float64" in WITHOUT:
            raise TypeError(f"Cannot convert a {NAME} Tensor to float64 dtype: the device does not support float64")
        if inner.layout != torch.strided and "sparse" in WITHOUT:
            raise DeviceError(f"sparse tensors are not supported on {NAME}")
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], meta: Any, size: Any, stride: Any) -> OnDevice:
        return OnDevice(inner["inner"])

    def __repr__(self, **_: Any) -> str:
        return f"OnDevice({self.inner!r})"

    def untyped_storage(self) -> Any:
        return self.inner.untyped_storage()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise DeviceError(f"can't convert a {NAME} tensor to numpy; use Tensor.cpu() first")
        return self.detach().cpu().numpy()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise DeviceError(f"can't convert a {NAME} tensor to numpy; use Tensor.cpu() first")

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> OnDevice:
        if id(self) not in memo:
            with torch.no_grad():
                made = self.detach().clone()
            made.requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                made._is_param = True
            memo[id(self)] = made
        return memo[id(self)]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(func, args, kwargs or {})


INDEXING = {
    aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default,
    aten._unsafe_index.Tensor, aten._unsafe_index_put.default,
}  # fmt: skip
"""Operations whose indices may lie on the CPU."""

WAITS = {
    aten._local_scalar_dense.default: "item",
    aten.nonzero.default: "nonzero",
    aten.masked_select.default: "masked_select",
    aten._unique2.default: "unique",
    aten.unique_dim.default: "unique",
    aten.unique_consecutive.default: "unique",
    aten.equal.default: "equal",
    aten.bincount.default: "bincount",
    aten.repeat_interleave.Tensor: "repeat_interleave",
    aten.linalg_cholesky.default: "cholesky",
}
"""Operations whose result the host has to look at."""

NO_KERNEL = {
    aten._local_scalar_dense.default, aten.empty.memory_format, aten.empty_like.default, aten.empty_strided.default,
    aten.new_empty.default,
}  # fmt: skip
"""Operations that launch nothing: memory is set aside, or a number is read."""

TAKES_SCALARS = {
    aten.where.self, aten.lerp.Tensor, aten.lerp_.Tensor, aten.masked_fill.Tensor, aten.masked_fill_.Tensor,
    aten.fill_.Tensor, aten.fill.Tensor, aten.clamp.Tensor, aten.clamp_.Tensor, aten._fused_adam_.default,
    aten._fused_adam_.tensor_lr,
}  # fmt: skip
"""Operations, beside the pointwise ones, that take a number of the CPU among tensors of the device."""


NO_FIXED_ORDER = {
    aten.cumsum.default: lambda x, *_, **__: x.is_floating_point(),
    aten.cumsum_.default: lambda x, *_, **__: x.is_floating_point(),
    aten.bincount.default: lambda x, weights=None, *_, **__: weights is not None,
    aten.put_.default: lambda x, i, v, accumulate=False: not accumulate,
    **dict.fromkeys(
        (
            aten.histc.default, aten.kthvalue.default, aten.median.dim,
            aten._adaptive_avg_pool2d_backward.default, aten.adaptive_max_pool2d_backward.default,
            aten.max_pool3d_with_indices_backward.default, aten.avg_pool3d_backward.default,
            aten.reflection_pad1d_backward.default, aten.reflection_pad2d_backward.default,
            aten.replication_pad1d_backward.default, aten.replication_pad2d_backward.default,
            aten.upsample_linear1d_backward.default, aten.upsample_bilinear2d_backward.default,
            aten.upsample_bicubic2d_backward.default, aten.grid_sampler_2d_backward.default,
            aten.nll_loss2d_forward.default, aten._ctc_loss_backward.default,
        ),
        lambda *_, **__: True,
    ),
}  # fmt: skip
"""Operations that add in the order in which threads arrive, and CUDA's answer to ``use_deterministic_algorithms``."""

WITHOUT: set[str] = set()
"""What the device has not, as on MPS: ``float64``, ``sparse``."""


def dispatch(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Carry out one operation, if CUDA would, or MPS."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    asked = kwargs.get("device")
    onto = asked is not None and torch.device(asked).type == NAME
    off = asked is not None and not onto
    if not there and not onto:
        return func(*args, **kwargs)
    if func in _COPIES:
        return _COPIES[func](func, args, kwargs)
    here = [tensor for tensor in tensors if not isinstance(tensor, OnDevice) and tensor.device.type == "cpu"]
    if here and there:
        _check_mixed(func, args, here, there)
    _count_waits(func, args, kwargs)
    moving = NO_FIXED_ORDER.get(func)
    if moving is not None and torch.are_deterministic_algorithms_enabled() and moving(*args, **kwargs):
        told = "does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(True)'"
        raise RuntimeError(f"{func} {told}. You can turn off determinism just for this operation, ...")
    if func in CELLS:
        ACCOUNT.launch(func.name())
        return _wrapped(CELLS[func](*tree_map(_inner, args), **tree_map(_inner, kwargs)))
    if not func.is_view and func not in NO_KERNEL:
        ACCOUNT.launch(func.name())
    out = func(*tree_map(_inner, args), **tree_map(_inner, _on_cpu(kwargs)))
    if off:
        return out
    wrapped = _wrapped(out)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if there else wrapped


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnDevice) else value


def _wrapped(out: Any) -> Any:
    def wrap(value: Any) -> Any:
        return OnDevice(value) if isinstance(value, torch.Tensor) and not isinstance(value, OnDevice) else value

    return tree_map(wrap, out)


def _on_cpu(kwargs: dict[str, Any]) -> dict[str, Any]:
    changed = dict(kwargs)
    if changed.get("device") is not None:
        changed["device"] = torch.device("cpu")
    if changed.get("pin_memory"):
        changed["pin_memory"] = False
    return changed


def _check_mixed(func: Any, args: Any, here: list[torch.Tensor], there: list[torch.Tensor]) -> None:
    if func in INDEXING:
        values = args[2] if len(args) > 2 else None
        if not isinstance(args[0], OnDevice):
            raise DeviceError(f"{func}: indices on {NAME} for a tensor on the CPU")
        if isinstance(values, torch.Tensor) and not isinstance(values, OnDevice) and values.dim():
            raise DeviceError(f"{func}: values on the CPU for a tensor on {NAME}")
        return
    pointwise = torch.Tag.pointwise in func.tags or func in TAKES_SCALARS or func.name().startswith("aten::_foreach")
    if not pointwise or any(tensor.dim() for tensor in here):
        shapes = [[tuple(tensor.shape) for tensor in side] for side in (here, there)]
        raise DeviceError(f"{func}: tensors on two devices: {shapes[0]} on the CPU, {shapes[1]} on {NAME}")
    for argument, given in zip(func._schema.arguments, args, strict=False):
        written = argument.alias_info is not None and argument.alias_info.is_write
        if written and isinstance(given, torch.Tensor) and not isinstance(given, OnDevice):
            raise DeviceError(f"{func}: results of {NAME} written into a tensor on the CPU")


def _count_waits(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    if func in WAITS and kwargs.get("output_size") is None:
        ACCOUNT.wait(WAITS[func])
    if func in INDEXING:
        places = [place for place in args[1] if isinstance(place, torch.Tensor)]
        if any(place.dtype in (torch.bool, torch.uint8) for place in places):
            ACCOUNT.wait("boolean index")
        if any(not isinstance(place, OnDevice) and place.dim() for place in places):
            ACCOUNT.wait("index from the host")


def _copy_into(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    target, source, *further = args
    blocking = not (kwargs.get("non_blocking") or (further and further[0]))
    if isinstance(target, OnDevice) != isinstance(source, OnDevice) and blocking and source.dim():
        ACCOUNT.wait("to the device" if isinstance(target, OnDevice) else "to the host")
    ACCOUNT.launch(func.name())
    func(_inner(target), _inner(source), *further, **kwargs)
    return target


def _copies_into(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    ACCOUNT.launch(func.name())
    func([_inner(tensor) for tensor in args[0]], [_inner(tensor) for tensor in args[1]], **kwargs)


def _copy(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    ACCOUNT.launch(func.name())
    return OnDevice(func(*tree_map(_inner, args), **kwargs))


def _to(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """``_to_copy``: another device, another type, or both."""
    source, asked = args[0], kwargs.get("device")
    stays = asked is None or torch.device(asked).type == NAME
    out = func(_inner(source), **_on_cpu(kwargs))
    blocking = not kwargs.get("non_blocking")
    if not stays:
        ACCOUNT.wait("to the host")
        return out
    if isinstance(source, OnDevice):
        ACCOUNT.launch(func.name())
    elif blocking:
        ACCOUNT.wait("to the device")
    return OnDevice(out)


_COPIES: dict[Any, Callable[[Any, Any, dict[str, Any]], Any]] = {
    aten.copy_.default: _copy_into,
    aten._foreach_copy_.default: _copies_into,
    aten.copy.default: _copy,
    aten._to_copy.default: _to,
}
