"""The two sides of the comparison of TSDAE in ``speed.py``: each in a process of its own, fed with the same pairs
of noisy and whole sentences, asked for a stretch of training or for its loss on held-out pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Generator, Tensor, nn

from isthmus.batch import Batch, TokenRows
from isthmus.core.corruptions.tokens import TokenDeletion
from isthmus.training.batching import TokenBudget, by_length
from isthmus.training.process import keep_freed_memory
from isthmus.training.run import Run
from isthmus.training.steps.step import adam
from isthmus_text.datasets import demo_sentences
from isthmus_text.input_output import checkpoint_adapter
from isthmus_text.pretrained import checkpoints
from isthmus_text.pretrained.builders import denoising_text

DELETED = 0.6
ROWS = 64
"""Sentences of a batch; of ours, whose batches have a budget of tokens, on average."""

CLIP = 1.0
Pair = tuple[TokenRows, TokenRows]


@dataclass(frozen=True)
class Side:
    """Who trains, and how.

    Attributes:
        who: ``isthmus`` or ``sentence-transformers``.
        precision: ``fp32`` or ``bf16``.
        rate: the learning rate.
        sentences: of the training split; a third as many, at most 500, are held out.
    """

    who: str
    precision: str
    rate: float
    sentences: int

    @property
    def name(self) -> str:
        return f"{self.who} {self.precision} {self.rate:g}"


class Pairs:
    """Sentences of the Web Treebank and what is left of them after deletion: drawn once, with one seed."""

    def __init__(self, part: str, sentences: int) -> None:
        self.adapter = checkpoint_adapter("minilm")
        source = self.adapter.prepare(demo_sentences(part).texts.subsample(sentences))
        generator = Generator().manual_seed(1)
        rows = [source.batch(torch.tensor([row])).targets for row in range(len(source))]
        self.clean: list[Tensor] = [row.ids[0] for row in rows if isinstance(row, TokenRows)]
        noisy = (TokenDeletion(DELETED)(row, generator) for row in rows)
        self.noisy: list[Tensor] = [row.ids[0] for row in noisy if isinstance(row, TokenRows)]
        self.lengths = torch.tensor([len(ids) for ids in self.clean])

    def batch(self, rows: Tensor) -> Pair:
        """Both sides of the given pairs, padded on the right."""
        return _padded([self.noisy[row] for row in rows]), _padded([self.clean[row] for row in rows])

    def by_length(self) -> list[Pair]:
        return [self.batch(rows) for rows in by_length(self.lengths, 2048)]


class Ours:
    """``denoising_text`` with its defaults, as the trainer trains it: batches of like lengths."""

    def __init__(self, side: Side, pairs: Pairs) -> None:
        self.run = Run(device="cpu", precision=side.precision)
        made = denoising_text(
            pairs.adapter.signal, generator=self.run.generator(), deletion=0.0, learning_rate=side.rate
        )
        self.model, self.noise = made.model, self.run.generator(stream=2)
        self.optimizer = adam(self.model, made.plan)
        self.trains = [p for p in self.model.parameters() if p.requires_grad]
        self.batching = TokenBudget(round(ROWS * float(pairs.lengths.float().mean())))

    def rows(self, pairs: Pairs, generator: Generator) -> Sequence[Tensor]:
        return list(self.batching(pairs.lengths, generator))

    def loss(self, pair: Pair, trains: bool) -> tuple[Tensor, float]:
        """What is minimised, and the nats of all tokens."""
        self.model.train(trains)
        batch = Batch(torch.arange(pair[1].size), *pair)
        with self.run.products():
            step = self.model.step(batch, generator=self.noise if trains else None)
            return self.model.loss(step).total, -float(step.log_likelihood.detach().sum())


class Theirs:
    """``DenoisingAutoEncoderLoss`` with tied encoder and decoder and AdamW, in batches of random sentences. Tokens are
    handed over as they are: neither its tokenizer nor its trainer costs it time."""

    def __init__(self, side: Side, pairs: Pairs) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss

        torch.manual_seed(0)
        model = SentenceTransformer(str(checkpoints.minilm_folder()), device="cpu")
        self.model: nn.Module = DenoisingAutoEncoderLoss(model, tie_encoder_decoder=True)
        self.start, self.bf16 = model.tokenizer.cls_token_id, side.precision == "bf16"
        self.trains = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(self.trains, lr=side.rate)

    def rows(self, pairs: Pairs, generator: Generator) -> Sequence[Tensor]:
        return torch.randperm(len(pairs.clean), generator=generator).split(ROWS)

    def loss(self, pair: Pair, trains: bool) -> tuple[Tensor, float]:
        """Their loss is a mean over tokens."""
        self.model.train(trains)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            mean = self.model([self._features(rows) for rows in pair], None)
        return mean, float(mean.detach()) * int(pair[1].mask.sum())

    def _features(self, rows: TokenRows) -> dict[str, Tensor]:
        first = torch.full((rows.size, 1), self.start)
        mask = torch.cat([torch.ones_like(first, dtype=torch.bool), rows.mask], 1)
        return {"input_ids": torch.cat([first, rows.ids], 1).masked_fill(~mask, 0), "attention_mask": mask.long()}


def serve(side: Side, channel: Connection) -> None:
    """Answer ``("train", pairs)`` by (pairs, tokens, seconds) and ``("loss",)`` by nats per token, until ``None``."""
    pairs, held_out = Pairs("train", side.sentences), Pairs("dev", min(500, side.sentences // 3))
    made = Ours(side, pairs) if side.who == "isthmus" else Theirs(side, pairs)
    stream = _endless(made, pairs)
    channel.send("ready")
    with keep_freed_memory() if side.who == "isthmus" else nullcontext():
        while (wanted := channel.recv()) is not None:
            channel.send(_trained(made, stream, wanted[1]) if wanted[0] == "train" else _held_out(made, held_out))


def _endless(made: Ours | Theirs, pairs: Pairs) -> Callable[[], Pair]:
    generator, waiting = Generator().manual_seed(2), []

    def following() -> Pair:
        if not waiting:
            waiting.extend(reversed(made.rows(pairs, generator)))
        return pairs.batch(waiting.pop())

    return following


def _trained(made: Ours | Theirs, following: Callable[[], Pair], wanted: int) -> dict[str, Any]:
    done, tokens, seconds = 0, 0, 0.0
    while done < wanted:
        pair = following()
        started = time.perf_counter()
        loss, _ = made.loss(pair, trains=True)
        made.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(made.trains, CLIP)
        made.optimizer.step()
        seconds += time.perf_counter() - started
        done, tokens = done + pair[1].size, tokens + int(pair[1].mask.sum())
    return {"pairs": done, "tokens": tokens, "seconds": seconds}


@torch.no_grad()
def _held_out(made: Ours | Theirs, held_out: Pairs) -> float:
    batches = held_out.by_length()
    return sum(made.loss(pair, trains=False)[1] for pair in batches) / int(held_out.lengths.sum())


def _padded(rows: Sequence[Tensor]) -> TokenRows:
    lengths = torch.tensor([len(row) for row in rows])
    ids = nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    return TokenRows(ids, torch.arange(ids.shape[1]) < lengths[:, None])
