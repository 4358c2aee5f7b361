"""Pretrained encoders of tokens: any module with the interface of a ``transformers`` encoder."""

from __future__ import annotations

import sys

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from isthmus.batch import Tensors, TokenRows, Values, require_tokens
from isthmus.errors import SettingError

POOLINGS = ("mean", "first")


class PretrainedEncoder(nn.Module):
    """``enter``: word embeddings [batch, steps, entered]; ``trunk``: the rest of the network, then one vector per row.

    The rows contain content tokens and the end token; the start token that such networks expect ([CLS]) is added here.
    The network stays in evaluation mode even in training, because its dropout would use the global random state.

    Args:
        backbone: module that takes ``inputs_embeds`` and ``attention_mask``, returns ``last_hidden_state``, and has
            ``get_input_embeddings()``, like all encoders of ``transformers``.
        width: width of its last hidden state.
        start: id of the start token; None for no start token.
        max_length: maximum number of tokens, including the start; truncated rows keep their end token.
        pooling: ``mean`` over the real tokens, including start and end, or the ``first`` token.
        normalise: scale the vectors to length 1.
        frozen: do not train the parameters of the backbone.

    Raises:
        SettingError: an unknown pooling, or fewer than 2 tokens.
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
        """The word embeddings of the tokens."""
        entered: Tensor = self.backbone.get_input_embeddings()(self._read(inputs).ids)  # type: ignore[operator]
        return entered

    def trunk(
        self, entered: Float[Tensor, "batch steps entered"], inputs: Tensors | None
    ) -> Float[Tensor, "batch width"]:
        """One vector per row, in fp32 also under autocast."""
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
    """An encoder that accepts precomputed vectors: rows of numbers are passed through, tokens are encoded.

    With it, a decoder for a frozen encoder is trained on vectors that were computed once.

    Args:
        encoder: encoder from tokens to vectors.
    """

    def __init__(self, encoder: PretrainedEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = encoder.width

    def enter(self, inputs: Tensors) -> Tensor:
        """Precomputed vectors [batch, width], or word embeddings [batch, steps, entered]."""
        return inputs.values if isinstance(inputs, Values) else self.encoder.enter(inputs)

    def trunk(self, entered: Tensor, inputs: Tensors | None) -> Float[Tensor, "batch width"]:
        """One vector per row."""
        return entered if isinstance(inputs, Values) else self.encoder.trunk(entered, inputs)


def mean_over(
    state: Float[Tensor, "batch steps width"], mask: Bool[Tensor, "batch steps"]
) -> Float[Tensor, "batch width"]:
    """The mean over the masked-in positions, in fp32; each row needs at least one."""
    kept = mask[..., None].float()
    return (state.float() * kept).sum(1) / kept.sum(1)


def _takes_whole_masks(backbone: nn.Module, device: torch.device) -> bool:
    """Whether a network of transformers gets a full attention mask, which it uses unchanged. From a token mask it
    builds its own, which needs a synchronisation that takes longer than attention without a mask saves."""
    fused = getattr(getattr(backbone, "config", None), "_attn_implementation", None) == "sdpa"
    return (
        device.type != "cpu" and fused and hasattr(sys.modules[type(backbone).__module__], "create_bidirectional_mask")
    )


def _cut(rows: TokenRows, steps: int) -> tuple[Int64[Tensor, "batch steps"], Bool[Tensor, "batch steps"]]:
    """The first ``steps`` tokens, with the row's end token as the last one."""
    if rows.ids.shape[1] <= steps:
        return rows.ids, rows.mask
    lengths = rows.mask.sum(1, keepdim=True)
    last = rows.ids.gather(1, lengths - 1)
    ids = rows.ids[:, :steps].clone()
    ids[:, -1:] = torch.where(lengths > steps, last, ids[:, -1:])
    return ids, rows.mask[:, :steps]
