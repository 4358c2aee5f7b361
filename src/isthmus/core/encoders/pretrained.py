"""Pretrained encoders of tokens as parts: any module that has the face of a ``transformers`` encoder."""

from __future__ import annotations

import sys

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from isthmus.batch import Tensors, TokenRows, Values, require_tokens
from isthmus.errors import SettingError

POOLINGS = ("mean", "first")


class PretrainedEncoder(nn.Module):
    """``enter``: word embeddings [batch, steps, entered]; ``trunk``: the rest of the network, then one vector a row.

    The rows are content tokens and the end token; the token that such networks expect in front ([CLS]) is added here.
    The network stays in its evaluation mode, in training as well: its dropout would draw from the global random state.

    Args:
        backbone: called with ``inputs_embeds`` and ``attention_mask``, it answers with ``last_hidden_state``; it names
            its word embedding by ``get_input_embeddings()``. All encoders of ``transformers`` do.
        width: of its last hidden state.
        start: id of the token put before each row; None puts none.
        max_length: tokens that are read, the start among them; of a longer row the end token is kept.
        pooling: ``mean`` over the real tokens, start and end among them, or the ``first`` one.
        normalise: vectors of length 1.
        frozen: the parameters of the backbone do not train.

    Raises:
        SettingError: a pooling of another name, or fewer than 2 tokens.
    """

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        *,
        start: int | None = None,
        max_length: int = 256,
        pooling: str = "mean",
        normalise: bool = True,
        frozen: bool = True,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise SettingError(f"pooling={pooling!r}", expected="'mean' or 'first'")
        if max_length < 2:
            raise SettingError(f"max_length={max_length}", expected="at least 2 tokens")
        self.backbone = backbone.eval().requires_grad_(not frozen)
        self.width, self.start, self.max_length = width, start, max_length
        self.pooling, self.normalise = pooling, normalise

    def words(self) -> nn.Parameter:
        """The word embeddings themselves [vocabulary, entered], to be shared with a decoder."""
        table: nn.Parameter = self.backbone.get_input_embeddings().weight  # type: ignore[operator]
        return table

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch steps entered"]:
        """The word embeddings of the tokens that are read."""
        entered: Tensor = self.backbone.get_input_embeddings()(self._read(inputs).ids)  # type: ignore[operator]
        return entered

    def trunk(
        self, entered: Float[Tensor, "batch steps entered"], inputs: Tensors | None
    ) -> Float[Tensor, "batch width"]:
        """One vector a row, fp32 under autocast too."""
        assert inputs is not None, "which tokens are real is told by the inputs"
        mask = self._read(inputs).mask
        if self.backbone.training:
            self.backbone.eval()
        seen = mask[:, None, None] if _takes_whole_masks(self.backbone, mask.device) else mask.long()
        state = self.backbone(inputs_embeds=entered, attention_mask=seen).last_hidden_state
        pooled = mean_over(state, mask) if self.pooling == "mean" else state[:, 0].float()
        return nn.functional.normalize(pooled, dim=1) if self.normalise else pooled

    def _read(self, inputs: Tensors) -> TokenRows:
        """Start token, content, end token: at most ``max_length`` of them."""
        ids, mask = _cut(require_tokens(inputs, "a pretrained encoder"), self.max_length - (self.start is not None))
        if self.start is None:
            return TokenRows(ids, mask)
        first = ids.new_full((len(ids), 1), self.start)
        return TokenRows(torch.cat([first, ids], 1), torch.cat([torch.ones_like(first, dtype=torch.bool), mask], 1))


class KnownVectors(nn.Module):
    """An encoder whose vectors may be known beforehand: rows of numbers are passed on, tokens are encoded.

    A decoder of a frozen encoder is trained from vectors that were computed once.

    Args:
        encoder: from tokens to vectors.
    """

    def __init__(self, encoder: PretrainedEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = encoder.width

    def enter(self, inputs: Tensors) -> Tensor:
        """Known vectors [batch, width], or word embeddings [batch, steps, entered]."""
        return inputs.values if isinstance(inputs, Values) else self.encoder.enter(inputs)

    def trunk(self, entered: Tensor, inputs: Tensors | None) -> Float[Tensor, "batch width"]:
        """One vector a row."""
        return entered if isinstance(inputs, Values) else self.encoder.trunk(entered, inputs)


def mean_over(
    state: Float[Tensor, "batch steps width"], mask: Bool[Tensor, "batch steps"]
) -> Float[Tensor, "batch width"]:
    """The mean over the positions of the mask, fp32; each row needs one."""
    kept = mask[..., None].float()
    return (state.float() * kept).sum(1) / kept.sum(1)


def _takes_whole_masks(backbone: nn.Module, device: torch.device) -> bool:
    """Whether a network of transformers is handed a mask that it uses as it is. From a mask of tokens it makes one of
    its own, and asks the device whether all tokens are real, which takes longer than attention without a mask saves."""
    fused = getattr(getattr(backbone, "config", None), "_attn_implementation", None) == "sdpa"
    return (
        device.type != "cpu" and fused and hasattr(sys.modules[type(backbone).__module__], "create_bidirectional_mask")
    )


def _cut(rows: TokenRows, steps: int) -> tuple[Int64[Tensor, "batch steps"], Bool[Tensor, "batch steps"]]:
    """The first ``steps`` tokens; the last of them is the row's own last one, its end token."""
    if rows.ids.shape[1] <= steps:
        return rows.ids, rows.mask
    lengths = rows.mask.sum(1, keepdim=True)
    last = rows.ids.gather(1, lengths - 1)
    ids = rows.ids[:, :steps].clone()
    ids[:, -1:] = torch.where(lengths > steps, last, ids[:, -1:])
    return ids, rows.mask[:, :steps]
