"""From codes to rows of token ids: greedy, beam search or nucleus sampling, in batches, over any sequence decoder."""

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
    """Say what codes mean.

    The decoder's ``start`` has to yield what predicts the first token, ``(hidden [batch hidden], state)``. Precision is
    that of the surrounding autocast, probabilities are fp32; the mode (``eval``) is that of the decoder as given.

    Args:
        codes: one for each row, on the decoder's device.
        end: the id that ends a row.
        max_length: the most tokens of a row with its end, as ``Tokens.length``. A row that has not ended by then is
            cut; beam search compares whole rows only, so its beginnings have to end there.
        strategy: "greedy" takes the most probable token each time; "beam" looks for the most probable row; "nucleus"
            draws.
        beams: how many beginnings are followed.
        length_power: of "beam"; rows are compared by log p / tokens ** length_power, the end counted: 0 is the
            probability itself, 1 nats a token.
        top_p, temperature: of "nucleus": draws are from the fewest tokens that hold ``top_p`` of the probability, after
            logits were divided by ``temperature``.
        generator: of "nucleus"; the same one, in the same state, gives the same rows.
        forbidden: ids that are never said, such as padding.
        chunk: rows that the decoder has at a time; beams are rows.

    Returns:
        The ids of each row in the order of the codes, without the end; no more than ``max_length`` − 1.

    Raises:
        SettingError: a setting outside its range, "nucleus" without a generator, or a forbidden end.
        ValueRangeError: the decoder yields NaN.
    """
    if end in forbidden:
        raise SettingError(f"the end {end} is forbidden", expected="an end that can be said")
    steps = Stepwise(decoder, readout, end, _at_least_one(max_length, "max_length"), tuple(forbidden))
    say: Callable[[Tensor], list[list[int]]]
    if strategy == "beam":
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
        raise SettingError("nucleus without a generator", expected="a generator", remedy="pass one, made from a seed")
    if not 0 < top_p <= 1:
        raise SettingError(f"top_p is {top_p}", expected="more than 0 and at most 1")
    if not temperature > 0:
        raise SettingError(f"temperature is {temperature}", expected="more than 0", remedy="use greedy for 0")
    return Nucleus(top_p, temperature, generator)


def _at_least_one(value: int, name: str) -> int:
    if value < 1:
        raise SettingError(f"{name} is {value}", expected="at least 1")
    return value
