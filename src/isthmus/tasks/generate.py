"""Decodes codes to rows of token ids: greedy, beam search or nucleus sampling, in batches, for any sequence decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.errors import SettingError
from isthmus.plugins import closest
from isthmus.protocols import Readout, SequenceDecoder
from isthmus.tasks.beams import beam_search
from isthmus.tasks.stepwise import Nucleus, Stepwise, likeliest, one_by_one

MOST_BEAMS = 10_000
"""Maximum number of prefixes of each row that are kept and compared in each step."""


@torch.no_grad()
def generate(
    decoder: SequenceDecoder,
    readout: Readout,
    codes: Float[Tensor, "n code"],
    *,
    end: int,
    max_length: int,
    strategy: str = "beam",
    beams: int = 5,
    length_power: float = 1.0,
    top_p: float = 0.9,
    temperature: float = 1.0,
    generator: Generator | None = None,
    forbidden: Sequence[int] = (),
    chunk: int = 256,
) -> list[list[int]]:
    """Decode codes to rows of token ids.

    The decoder's ``start`` must return the state that predicts the first token, ``(hidden [batch hidden], state)``.
    Precision is that of the surrounding autocast, with probabilities in fp32; the mode of the decoder does not change.

    Args:
        decoder, readout: predict the next token.
        codes: one for each row, on the decoder's device.
        end: id of the end token.
        max_length: maximum number of tokens of a row including the end, as ``Tokens.length``. A row that has not ended
            by then is truncated; beam search only compares complete rows, so its prefixes have to end there.
        strategy: "greedy" takes the most probable token each time; "beam" searches for the most probable row; "nucleus"
            samples.
        beams: number of prefixes for "beam".
        length_power: for "beam"; rows are compared by log p / tokens ** length_power, where the end counts: 0 compares
            the probability itself, 1 nats per token.
        top_p, temperature: for "nucleus"; tokens are drawn from the smallest set that has the probability ``top_p``,
            after logits were divided by ``temperature``.
        generator: for "nucleus"; the same generator in the same state gives the same rows.
        forbidden: ids that are never generated, such as padding.
        chunk: number of rows that the decoder processes together; beams are rows.

    Returns:
        The ids of each row in the order of the codes, without the end; at most ``max_length`` − 1.

    Raises:
        SettingError: a setting outside its range, "nucleus" without a generator, or a forbidden end.
        ValueRangeError: the decoder returns NaN.
    """
    if end in forbidden:
        raise SettingError(f"the end {end} is forbidden", expected="an end token that can be generated")
    steps = Stepwise(decoder, readout, end, _at_least_one(max_length, "max_length"), tuple(forbidden))
    say: Callable[[Tensor], list[list[int]]]
    if strategy == "beam":
        if beams > MOST_BEAMS:
            raise SettingError(f"beams={beams}", expected=f"at most {MOST_BEAMS:,}")
        chunk = max(1, chunk // _at_least_one(beams, "beams"))
        if not length_power >= 0:
            raise SettingError(f"length_power is {length_power}", expected="0 or more")
        say = partial(beam_search, steps, beams=beams, length_power=length_power)
    elif strategy == "nucleus":
        say = partial(one_by_one, steps, choose=_nucleus(top_p, temperature, generator))
    elif strategy == "greedy":
        say = partial(one_by_one, steps, choose=likeliest)
    else:
        near = closest(strategy, ("greedy", "beam", "nucleus"))
        raise SettingError(f"strategy {strategy!r}", expected="greedy, beam or nucleus", remedy=near)
    parts = codes.split(_at_least_one(chunk, "chunk")) if len(codes) else ()
    return [row for part in parts for row in say(part)]


def _nucleus(top_p: float, temperature: float, generator: Generator | None) -> Nucleus:
    if generator is None:
        raise SettingError("nucleus without a generator", expected="a generator", remedy="pass one with a seed")
    if not 0 < top_p <= 1:
        raise SettingError(f"top_p is {top_p}", expected="more than 0 and at most 1")
    if not temperature > 0:
        raise SettingError(f"temperature is {temperature}", expected="more than 0", remedy="use greedy for 0")
    return Nucleus(top_p, temperature, generator)


def _at_least_one(value: int, name: str) -> int:
    if value < 1:
        raise SettingError(f"{name} is {value}", expected="at least 1")
    return value
