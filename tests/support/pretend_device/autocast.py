"""Autocast on the pretend device, with CUDA's lists of what is computed in which precision."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_map

LOW = (
    "linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "addr", "conv1d", "conv2d", "conv3d",
    "convolution", "conv_transpose2d.input", "prelu", "einsum", "scaled_dot_product_attention", "lstm.input",
    "chain_matmul", "linalg_multi_dot",
)  # fmt: skip
HIGH = (
    "acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p", "reciprocal", "rsqrt", "sinh",
    "tan", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar", "softplus", "layer_norm", "native_layer_norm",
    "group_norm", "cosine_similarity", "cosine_embedding_loss", "nll_loss", "kl_div", "l1_loss", "smooth_l1_loss",
    "huber_loss", "mse_loss", "binary_cross_entropy_with_logits", "dist", "cdist", "renorm", "logsumexp", "prod",
    "softmax.int", "log_softmax.int", "cumprod", "cumsum", "linalg_vector_norm", "sum", "sum.dim_IntList",
    "norm.Scalar", "norm.ScalarOpt_dim", "upsample_nearest2d.vec", "upsample_bilinear2d.vec",
)  # fmt: skip

_kept: list[Any] = []


def register(device: str) -> None:
    """Teach torch what autocast does with tensors of the device. Once a process."""
    fallback = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
    fallback.fallback(torch.library.fallthrough_kernel)
    library = torch.library.Library("aten", "IMPL", "AutocastPrivateUse1")
    _kept.extend([fallback, library])
    for names, low in ((LOW, True), (HIGH, False)):
        for name in names:
            base, _, overload = name.partition(".")
            operation = getattr(getattr(torch.ops.aten, base), overload or "default")
            library.impl(name, _kernel(operation, device, low))


def _kernel(operation: Any, device: str, low: bool) -> Any:
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(value: Any) -> Any:
        floats = isinstance(value, torch.Tensor) and value.is_floating_point() and value.device.type == device
        if not floats or value.dtype == torch.float64:
            return value
        if low:
            return value.to(torch.get_autocast_dtype(device))
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value

    def kernel(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keys):
            return operation(*tree_map(cast, args), **tree_map(cast, kwargs))

    return kernel
