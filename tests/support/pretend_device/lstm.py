"""The cell of an LSTM that only CUDA has a fused kernel for, in plain operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def cell(
    input_gates: Tensor,
    hidden_gates: Tensor,
    memory: Tensor,
    input_bias: Tensor | None = None,
    hidden_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The state, the memory, and what the way back needs."""
    gates = input_gates + hidden_gates
    for bias in (input_bias, hidden_bias):
        gates = gates if bias is None else gates + bias
    enter, forget, change, leave = gates.chunk(4, 1)
    enter, forget, change, leave = enter.sigmoid(), forget.sigmoid(), change.tanh(), leave.sigmoid()
    after = forget * memory + enter * change
    return leave * after.tanh(), after, torch.cat([enter, forget, change, leave], 1)


def cell_backward(
    grad_state: Tensor | None, grad_memory: Tensor | None, before: Tensor, after: Tensor, kept: Tensor, has_bias: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of the gates, of the memory and of the biases."""
    enter, forget, change, leave = kept.chunk(4, 1)
    grad_state = torch.zeros_like(after) if grad_state is None else grad_state
    bent = after.tanh()
    inside = grad_state * leave * (1 - bent * bent) + (0 if grad_memory is None else grad_memory)
    gates = torch.cat(
        [
            inside * change * enter * (1 - enter),
            inside * before * forget * (1 - forget),
            inside * enter * (1 - change * change),
            grad_state * bent * leave * (1 - leave),
        ],
        1,
    )
    return gates, inside * forget, gates.sum(0) if has_bias else None


CELLS: dict[Any, Any] = {
    torch.ops.aten._thnn_fused_lstm_cell.default: cell,
    torch.ops.aten._thnn_fused_lstm_cell_backward_impl.default: cell_backward,
}
