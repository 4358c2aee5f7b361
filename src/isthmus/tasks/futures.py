"""Samples continuations of token rows from a model that predicts each token from the previous ones."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from isthmus.batch import TokenRows
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import ranker_of
from isthmus.errors import InputError, SettingError
from isthmus.tasks.surprise import tokens_of

AT_A_TIME = 256
"""Number of rows that are continued together."""


@torch.no_grad()
def sample_futures(
    model: Autoencoder,
    rows: TokenRows,
    steps: int,
    *,
    generator: Generator,
    temperature: float = 1.0,
    new: bool = False,
) -> Int64[Tensor, "batch steps"]:
    """Continue each row token by token. Each token is sampled from the softmax over all tokens, given the row and the
    tokens sampled before. For variational models the code is sampled, too.

    Args:
        model: a model with a causal encoder, whose states predict the next token.
        rows: rows with at least one token, on the model's device.
        steps: number of tokens to sample.
        generator: random generator on the model's device.
        temperature: divides the scores; below 1, probable tokens become more probable.
        new: sample each token at most once, and no tokens of the row.

    Returns:
        Token ids, on the model's device.

    Raises:
        SettingError: a model that does not predict the next token, or that needs the times of tokens; a temperature of
            0 or less; with ``new``, more steps than there are other tokens.
        InputError: a row without tokens.
    """
    _check(model, rows, steps, temperature, new)
    starts = range(0, rows.size, AT_A_TIME)
    parts = [rows.part(start, start + AT_A_TIME) for start in starts]
    found = [_continued(model, part, steps, generator, temperature, new) for part in parts]
    return torch.cat(found) if found else rows.ids.new_empty(0, steps)


def _continued(
    model: Autoencoder, rows: TokenRows, steps: int, generator: Generator, temperature: float, new: bool
) -> Int64[Tensor, "batch steps"]:
    ranker, found = ranker_of(model), list[Tensor]()
    taken = torch.zeros(rows.size, tokens_of(model).vocabulary, dtype=torch.bool, device=rows.device)
    if new:
        owners = torch.arange(rows.size, device=rows.device)[:, None].expand_as(rows.ids)
        taken[owners[rows.mask], rows.ids[rows.mask]] = True
    for _ in range(steps):
        state = model.decode(model.encode(rows, generator=generator).sample)
        scores = ranker.scores(state).float().masked_fill(taken, -torch.inf)
        drawn = torch.multinomial((scores / temperature).softmax(1), 1, generator=generator)
        if new:
            taken.scatter_(1, drawn, True)
        found.append(drawn)
        rows = _longer(rows, drawn, model)
    return torch.cat(found, 1)


def _longer(rows: TokenRows, drawn: Int64[Tensor, "batch one"], model: Autoencoder) -> TokenRows:
    """The rows with one more token each, cut to the length that the model reads."""
    lengths = rows.mask.sum(1, keepdim=True)
    ids, mask = (torch.cat([of, torch.zeros_like(of[:, :1])], 1) for of in (rows.ids, rows.mask))
    wider = TokenRows(ids.scatter(1, lengths, drawn), mask.scatter(1, lengths, True))
    return wider.last(tokens_of(model).length)


def _check(model: Autoencoder, rows: TokenRows, steps: int, temperature: float, new: bool) -> None:
    vocabulary = tokens_of(model).vocabulary
    if model.timed:
        raise SettingError(
            "a model that reads the times of events", expected="timed=False, since it cannot say when the next one is"
        )
    if not temperature > 0:
        raise SettingError(f"temperature={temperature}", expected="a number above 0")
    lengths = rows.mask.sum(1)
    if rows.size and not int(lengths.min()):
        first = int((lengths == 0).nonzero()[0, 0])
        raise InputError(f"row {first} has no known item", expected="an item at least, from which to continue")
    if new and rows.size and int(lengths.max()) + steps > vocabulary:
        raise SettingError(f"{steps} steps of items that are new to a history", expected="fewer, or items seen before")
