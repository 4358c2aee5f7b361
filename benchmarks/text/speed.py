"""How many tokens per second are trained on and encoded?

Parts: ``sequence`` (the sequence VAE, both forms, English Web Treebank), ``tsdae`` (``denoising_text`` against
sentence-transformers' ``DenoisingAutoEncoderLoss``: the same backbone, all-MiniLM-L6-v2, and the same pairs of noisy
and whole sentences; the rival in fp32 and in bf16) and ``encode`` (texts of mixed lengths to vectors, against
``SentenceTransformer.encode``, with the largest difference of two vectors).

In ``tsdae`` each side is a process of its own and they take turns, so that a busy moment hits all. A side's loss on
held-out pairs, in nats per token, is computed after each turn (not timed); ours goes on until it reaches the rival's
last one. The rival trains with each of ``--rival-rates`` (3e-5 is what its documentation uses), and the best of them
counts. It is spared tokenizer, data loader and trainer. A process of the rival takes up to 5 GB.
"""

from __future__ import annotations

import logging
import multiprocessing
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, chosen, in_turns
from benchmarks.text import tables
from benchmarks.text.speed_sides import Side, serve
from isthmus.models.sequence_vae import sequence_vae
from isthmus.training.run import Run
from isthmus_text.adapter import TextAdapter
from isthmus_text.datasets import demo_sentences
from isthmus_text.input_output import checkpoint_adapter
from isthmus_text.pretrained import checkpoints
from isthmus_text.pretrained.cached_vectors import vectors_of
from isthmus_text.pretrained.checkpoints import pretrained_encoder
from isthmus_text.texts import Texts

NAME = "text_speed"
TITLE = "Training and encoding"
FURTHER = 4
"""Ours trains on at most so many times the rival's pairs to reach its loss."""

RATE = 3e-4
FORMS = {
    "transformer": {"form": "transformer", "hidden": 256, "layers": 2},
    "lstm": {"form": "lstm", "hidden": 256, "pooling": "last"},
}
logger = logging.getLogger(NAME)


@dataclass(frozen=True)
class Options:
    """What ``run`` was given."""

    sentences: int
    pairs: int
    turn: int
    rate: float
    rival_rates: Sequence[float]
    precision: str
    texts: int
    repeats: int


def part_sequence(results: Results, options: Options) -> None:
    """Whole epochs as the trainer runs them; the second one counts."""
    texts = demo_sentences("train").texts.subsample(options.sentences)
    adapter = TextAdapter.fit(texts, kind="bpe", size=8000, max_length=64)
    source = adapter.prepare(texts)
    tokens = int(source.lengths.sum())
    for name, settings in FORMS.items():
        for precision in ("fp32", "bf16"):
            run = Run(device="cpu", precision=precision)
            made = sequence_vae(adapter.signal, generator=run.generator(), epochs=2, **settings)
            spent = made.fit(source, run).records[-1]["seconds"]
            line = {"form": name, "precision": precision, "settings": settings, "tokens": tokens}
            results.add(part="sequence", threads=torch.get_num_threads(), seconds=spent, **line)


def part_tsdae(results: Results, options: Options) -> None:
    """Both to the same loss."""
    ours = Side("isthmus", options.precision, options.rate, options.sentences)
    rivals = [
        Side("sentence-transformers", precision, rate, options.sentences)
        for precision in (("fp32",) if results.smoke else ("fp32", "bf16"))
        for rate in options.rival_rates
    ]
    with served([ours, *rivals]) as channels:
        curves = {side.name: [_point(channels[side.name])] for side in (ours, *rivals)}
        while (pairs := min(curve[-1]["pairs"] for curve in curves.values())) < options.pairs:
            for name, channel in channels.items():
                _turn(channel, curves[name], options.turn)
            logger.info("%s", {name: curve[-1] for name, curve in curves.items()})
        goal = min(curves[side.name][-1]["loss"] for side in rivals)
        mine = curves[ours.name]
        while mine[-1]["loss"] > goal and mine[-1]["pairs"] < FURTHER * pairs:
            _turn(channels[ours.name], mine, options.turn)
            logger.info("%s: %s", ours.name, mine[-1])
    line = compared(ours.name, {name: curve for name, curve in curves.items() if name != ours.name}, mine)
    settings = {"pairs": options.pairs, "sentences": options.sentences, "rate": options.rate}
    results.add(part="tsdae", threads=torch.get_num_threads(), **settings, **line, curves=curves)


def compared(name: str, rivals: dict[str, list[dict[str, float]]], mine: list[dict[str, float]]) -> dict[str, Any]:
    """Speeds, and the time to the loss of the rival that got lowest; for each precision the rate that got lowest."""
    fastest = max(rivals, key=lambda rival: _speed(rivals[rival]))
    lowest = min(rivals, key=lambda rival: rivals[rival][-1]["loss"])
    goal = rivals[lowest][-1]["loss"]
    # The same loss may be reached sooner in the other precision.
    soonest = min(at for at in (_reached(curve, goal + 0.01) for curve in rivals.values()) if at is not None)
    reached = _reached(mine, goal)
    return {
        "ours": name,
        "tokens_a_second": {name: _speed(mine)} | {rival: _speed(curve) for rival, curve in rivals.items()},
        "fastest_rival": fastest,
        "times_faster": _speed(mine) / _speed(rivals[fastest]),
        "lowest_rival": lowest,
        "goal_nats_a_token": goal,
        "rival_seconds_to_goal": soonest,
        "our_seconds_to_goal": reached,
        "times_sooner": None if reached is None else soonest / reached,
        "our_last_loss": mine[-1]["loss"],
    }


def _speed(curve: list[dict[str, float]]) -> float:
    return curve[-1]["tokens"] / curve[-1]["seconds"]


def _reached(curve: list[dict[str, float]], goal: float) -> float | None:
    return next((point["seconds"] for point in curve if point["loss"] <= goal), None)


def _point(channel: Connection) -> dict[str, float]:
    channel.send(("loss",))
    return {"pairs": 0, "tokens": 0, "seconds": 0.0, "loss": channel.recv()}


def _turn(channel: Connection, curve: list[dict[str, float]], pairs: int) -> None:
    channel.send(("train", pairs))
    done = channel.recv()
    channel.send(("loss",))
    curve.append({name: curve[-1][name] + done[name] for name in ("pairs", "tokens", "seconds")})
    curve[-1]["loss"] = channel.recv()


@contextmanager
def served(sides: list[Side]) -> Iterator[dict[str, Connection]]:
    """A process for each side; all end with the context."""
    context = multiprocessing.get_context("spawn")
    channels, processes = {}, []
    try:
        for side in sides:
            channels[side.name], theirs = context.Pipe()
            processes.append(context.Process(target=serve, args=(side, theirs), daemon=True))
            processes[-1].start()
            theirs.close()
        for channel in channels.values():
            channel.recv()
        yield channels
        for channel in channels.values():
            channel.send(None)
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.terminate()


def part_encode(results: Results, options: Options) -> None:
    """Tokenizer and network, loaded beforehand; batches as each side forms them, and the rival with a larger one."""
    from sentence_transformers import SentenceTransformer

    texts = mixed_lengths(options.texts)
    adapter, encoder = checkpoint_adapter("minilm"), pretrained_encoder("minilm", frozen=True)
    rival = SentenceTransformer(str(checkpoints.minilm_folder()), device="cpu")
    wanted = rival.encode(texts, show_progress_bar=False)
    tokens = int(adapter.prepare(Texts.read(texts)).lengths.sum())
    for precision in ("fp32", "bf16"):
        run = Run(device="cpu", precision=precision)

        def ours(run: Run = run) -> np.ndarray:
            with run.products():
                found: np.ndarray = vectors_of(encoder, adapter.prepare(texts)).numpy()
            return found

        ways: dict[str, Callable[[], np.ndarray]] = {"isthmus": ours}
        for size in (32, 128):

            def theirs(size: int = size, bf16: bool = precision == "bf16") -> np.ndarray:
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    found: np.ndarray = rival.encode(texts, batch_size=size, show_progress_bar=False)
                return found

            ways[f"sentence-transformers, batches of {size}"] = theirs
        spent = in_turns(ways, options.repeats)
        line = {name: {"seconds": taken, "median": statistics.median(taken)} for name, taken in spent.items()}
        best = min(found["median"] for name, found in line.items() if name != "isthmus")
        results.add(
            part="encode", precision=precision, texts=len(texts), tokens=tokens, threads=torch.get_num_threads(),
            ways=line, times_faster=best / line["isthmus"]["median"],
            largest_difference=float(np.abs(ours().astype(np.float64) - wanted).max()),
        )  # fmt: skip


def mixed_lengths(count: int) -> list[str]:
    """Single sentences and 2, 4, 8 or 16 in a row, in random order: from a word to what the encoder cuts."""
    sentences, generator = list(demo_sentences("train").texts), np.random.default_rng(0)
    starts, sizes = generator.integers(0, len(sentences) - 16, count), generator.choice([1, 1, 1, 2, 4, 8, 16], count)
    return [" ".join(sentences[start : start + size]) for start, size in zip(starts, sizes, strict=True)]


PARTS = {"sequence": part_sequence, "tsdae": part_tsdae, "encode": part_encode}


def run(
    smoke: Smoke = False,
    part: Annotated[list[str] | None, typer.Option(help="sequence, tsdae or encode; all by default.")] = None,
    sentences: Annotated[int, typer.Option(help="Of the training split.")] = 12_544,
    pairs: Annotated[int, typer.Option(help="That the rival trains on.")] = 4_096,
    turn: Annotated[int, typer.Option(help="Pairs between two measured losses.")] = 512,
    rate: Annotated[float, typer.Option(help="Our learning rate.")] = RATE,
    rival_rate: Annotated[list[float] | None, typer.Option(help="3e-5 and 1e-4 by default.")] = None,
    fp32: Annotated[bool, typer.Option("--fp32", help="Ours trains in fp32.")] = False,
    texts: Annotated[int, typer.Option(help="That are encoded.")] = 2_000,
    repeats: Annotated[int, typer.Option(help="Of encoding.")] = 5,
) -> list[Line]:
    """Each part; a smoke run takes few sentences, and leaves the rival out where it is not installed."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        sentences, pairs, turn, texts, repeats, rival_rate = 48, 8, 8, 8, 1, [3e-5]
    rivals = find_spec("sentence_transformers") is not None
    if smoke and not rivals:
        logger.warning("sentence-transformers left out: it is not installed")
    precision = "fp32" if fp32 else "bf16"
    options = Options(sentences, pairs, turn, rate, rival_rate or [3e-5, 1e-4], precision, texts, repeats)
    for one in chosen(part, PARTS):
        if rivals or one == "sequence":
            PARTS[one](results, options)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Tokens a second."""
    return tables.speeds(lines)
