"""How good a text is for an embedding: its own embedding, and how likely the decoder finds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from isthmus.batch import Batch, TokenRows
from isthmus.core.autoencoder import Autoencoder
from isthmus.reprs import brief
from isthmus.training.batching import by_length
from isthmus_text.encode import encode, token_rows
from isthmus_text.input_output import InputOutput
from isthmus_text.pretrained.cached_vectors import batch_tokens

FLUENCY = 0.02
"""Weight of a nat per token beside the cosine."""


@brief
@dataclass(frozen=True, eq=False)
class Judged:
    """A text for an embedding.

    Attributes:
        text: the text.
        ids: its tokens, those of the decoder, with the end.
        code: its own embedding, of length 1.
        score: cosine of both embeddings + ``FLUENCY`` · log p(text | embedding) / tokens; higher is better.
    """

    text: str
    ids: tuple[int, ...]
    code: Float[Tensor, " code"]
    score: float


@dataclass(frozen=True, eq=False)
class Judge:
    """Scores texts for embeddings.

    Attributes:
        model: model in evaluation mode.
        adapter: adapters of encoder and decoder.
        wanted: the embeddings, as the decoder reads them.
    """

    model: Autoencoder
    adapter: InputOutput
    wanted: Float[Tensor, "n code"]

    @cached_property
    def targets(self) -> Float[Tensor, "n code"]:
        """The embeddings, of length 1."""
        return F.normalize(self.wanted, dim=1)

    def codes(self, texts: Sequence[str]) -> Float[Tensor, "texts code"]:
        """Embeddings of texts, of length 1, on the targets' device."""
        found = torch.from_numpy(encode(self.model, self.adapter.input, texts))
        return F.normalize(found.to(self.targets.device), dim=1)

    def __call__(self, rows: Sequence[int], texts: Sequence[str]) -> list[Judged]:
        """Score each text for the target of its row."""
        output = self.adapter.output
        ids = output.tokenizer.encode_batch(texts, output.max_length)
        codes = self.codes(texts)
        cosines = (codes * self.targets[list(rows)]).sum(1)
        scores = (cosines + FLUENCY * self._likely(rows, ids)).tolist()
        return [Judged(*one) for one in zip(texts, map(tuple, ids), codes, scores, strict=True)]

    def log_probs(
        self, rows: Sequence[int], ids: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, Float[Tensor, "tokens vocabulary"]]]:
        """The decoder's log-probabilities of every token at each place, after the tokens before it: for each text its
        number and its table, in batches of similar length."""
        for part, tokens, tables in self._batches(rows, ids):
            for row, table, mask in zip(part.tolist(), tables, tokens.mask, strict=True):
                yield row, table[mask]

    def _likely(self, rows: Sequence[int], ids: Sequence[Sequence[int]]) -> Float[Tensor, " texts"]:
        """log p(text | embedding) / tokens."""
        found = torch.empty(len(ids), device=self.targets.device)
        for part, tokens, tables in self._batches(rows, ids):
            own = tables.gather(2, tokens.ids[:, :, None])[:, :, 0]
            found[part.to(found.device)] = (own * tokens.mask).sum(1) / tokens.mask.sum(1)
        return found

    @torch.no_grad()
    def _batches(
        self, rows: Sequence[int], ids: Sequence[Sequence[int]]
    ) -> Iterator[tuple[Tensor, TokenRows, Float[Tensor, "some steps vocabulary"]]]:
        device = self.targets.device
        for part in by_length(torch.tensor([len(row) for row in ids]), batch_tokens(device)):
            tokens = token_rows([ids[row] for row in part.tolist()], device)
            given = Batch(part, tokens, tokens)
            states = self.model.decoder(self.wanted[torch.tensor(rows)[part].to(device)], given)
            logits = self.model.readout.logits(states.flatten(0, 1))
            yield part, tokens, logits.float().log_softmax(1).view(*tokens.ids.shape, -1)
