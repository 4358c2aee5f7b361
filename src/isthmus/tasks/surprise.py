"""The surprise of each token of a row under a model that predicts it from the previous ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.batch import Batch, TokenRows, Tokens
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import SettingError
from isthmus.sources import next_tokens

AT_A_TIME = 256
"""Number of rows that are computed together."""


def tokens_of(model: Autoencoder) -> Tokens:
    """The input layout of a sequence model.

    Raises:
        SettingError: not a sequence model.
    """
    if not isinstance(model.signal, Tokens):
        raise SettingError("a model that does not read items in order", expected="a model that predicts the next one")
    return model.signal


def surprise(model: Autoencoder, rows: TokenRows) -> Float[Tensor, "batch steps"]:
    """−log p of each token given the previous ones, in nats; NaN for the first token of a row and for padding.

    Args:
        model: a model with a causal encoder, whose states predict the next token.
        rows: rows on the model's device, not longer than the model reads.

    Returns:
        Values on the CPU; higher is more unexpected.

    Raises:
        SettingError: a model that does not predict the next token.
    """
    tokens_of(model)
    parts = [rows.part(start, start + AT_A_TIME) for start in range(0, rows.size, AT_A_TIME)]
    return torch.cat([torch.empty(0, rows.ids.shape[1]), *(_some(model, part) for part in parts)])


@torch.no_grad()
def _some(model: Autoencoder, rows: TokenRows) -> Tensor:
    found = torch.full(rows.ids.shape, torch.nan)
    prefixes, targets = next_tokens(rows, 1)
    if targets.size:
        step = model.step(Batch(torch.arange(rows.size, device=rows.device), prefixes, targets))
        found[:, 1:][prefixes.mask.cpu()] = -step.log_likelihood[:, 0].cpu().float()
    return found
