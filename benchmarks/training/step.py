"""How much faster is one training step than the dense textbook step on the same network?

Network: Mult-VAE, width-600-200-600-width, batch 500. The rival is what most public code does: the rows made dense
(outside the clock), ``x @ W``, ``(log_softmax(logits) * x).sum(1)``, everything fp32, torch's fused Adam on all rows;
ours is ``Autoencoder.step`` and ``loss`` as the trainer calls them, with the same Adam and the trainer's allocator
setting. Both draw dropout and noise. Each lives in a process of its own (the rival once more with our allocator
setting), steps alternate, and the result is the median of the ratios of neighbours. Part ``agreement``: the loss of
both after 200 steps.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext
from multiprocessing.connection import Connection
from typing import Annotated

import torch
import typer
from torch import nn

from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, newest, processor_kind
from isthmus.batch import Bag, Bags, Batch
from isthmus.models import mult_vae
from isthmus.training.process import keep_freed_memory
from isthmus.training.run import Run
from isthmus.training.steps.step import adam

NAME = "training_step"
TITLE = "One training step (Mult-VAE 600-200-600, batch 500)"
PARTS = ("times", "agreement")
BATCH, HIDDEN, CODE, BETA, DROPOUT = 500, 600, 200, 0.2, 0.5
OTHERS = (
    "A kind of processor that is not in the table has not been measured. On kinds that do not gain from bf16, products "
    "run in fp32, and the gain is that of the allocator and of the sparse first layer. `python -m benchmarks "
    "training_step` adds the lines of another kind."
)
CATALOGUES = {20_000: 100, 91_599: 57}
"""Items, and interactions a person."""


def people(items: int, each: int, batches: int) -> list[Batch]:
    """Rows with a popularity that falls like a power, and two dozen tastes to learn."""
    g = torch.Generator().manual_seed(0)
    popularity = torch.arange(1, items + 1).float().pow(-0.7)
    taste = torch.randint(0, 24, (items,), generator=g)
    made = []
    for _ in range(batches):
        mine = torch.randint(0, 24, (BATCH, 1), generator=g)
        chances = popularity * torch.where(taste == mine, 8.0, 1.0)
        indices = torch.multinomial(chances, each, generator=g).sort(1).values.flatten()
        bags = Bags(indices, torch.arange(0, BATCH * each + 1, each), torch.ones(BATCH * each))
        made.append(Batch(torch.arange(BATCH), bags, bags))
    return made


def fresh(batch: Batch) -> Batch:
    """The same rows, with nothing remembered of them."""
    bags = Bags(batch.inputs.indices, batch.inputs.offsets, batch.inputs.weights)
    return Batch(batch.rows, bags, bags)


class Ours:
    """The library as the trainer uses it."""

    def __init__(self, items: int, precision: str = "auto") -> None:
        recipe = mult_vae(Bag(items), generator=Run().generator(), hidden=HIDDEN, code=CODE, published=True)
        self.model, self.run = recipe.model, Run(precision=precision)
        self.optimizer = adam(self.model, recipe.plan)
        self.noise = Run().generator(stream=2)

    def step(self, batch: Batch) -> float:
        started = time.perf_counter()
        batch = fresh(batch)
        with self.run.products():
            loss = self.model.loss(self.model.step(batch, generator=self.noise), progress=1.0).total
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return time.perf_counter() - started

    def state(self) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    @torch.no_grad()
    def clean_loss(self, batches: list[Batch]) -> float:
        """Negative log-likelihood of the mean code in fp32, nats per person."""
        return statistics.mean(-float(self.model.step(batch).log_likelihood.mean()) for batch in batches)


class Textbook(nn.Module):
    """The dense fp32 step, on the same initial weights."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.state = nn.ParameterDict({name.replace(".", "/"): nn.Parameter(t) for name, t in state.items()})
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)
        self.noise = Run().generator(stream=3)

    def part(self, name: str) -> torch.Tensor:
        return self.state[name.replace(".", "/")]

    def forward(self, x: torch.Tensor, noisy: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        h = nn.functional.normalize(x, dim=1)
        if noisy:
            h = h * (torch.empty_like(h).uniform_(generator=self.noise) >= DROPOUT) / (1 - DROPOUT)
        h = torch.tanh(h @ self.part("encoder.table") + self.part("encoder.bias"))
        mean, log_scale = (
            nn.functional.linear(h, self.part(f"bottleneck.{p}.weight"), self.part(f"bottleneck.{p}.bias"))
            for p in ("mean", "log_scale")
        )
        z = mean + log_scale.exp() * torch.empty_like(mean).normal_(generator=self.noise) if noisy else mean
        h = torch.tanh(
            nn.functional.linear(z, self.part("decoder.mlp.layers.0.weight"), self.part("decoder.mlp.layers.0.bias"))
        )
        logits = nn.functional.linear(h, self.part("readout.weight"), self.part("readout.bias"))
        rate = 0.5 * (mean.square() + (2 * log_scale).exp() - 1 - 2 * log_scale).sum(1)
        return -(torch.log_softmax(logits, 1) * x).sum(1), rate

    def step(self, x: torch.Tensor) -> float:
        started = time.perf_counter()
        nll, rate = self(x)
        loss = (nll + BETA * rate).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return time.perf_counter() - started

    @torch.no_grad()
    def clean_loss(self, rows: list[torch.Tensor]) -> float:
        return statistics.mean(float(self(x, noisy=False)[0].mean()) for x in rows)


def dense(batch: Batch, items: int) -> torch.Tensor:
    x = torch.zeros(BATCH, items)
    return x.index_put_((batch.inputs.rows(), batch.inputs.indices), batch.inputs.weights)


def peak_products(items: int) -> float:
    """bf16 products a second of the readout's shapes, the three of a step in their fastest layout and nothing else
    beside them: what could be reached at best."""
    a, w = torch.randn(BATCH, HIDDEN).bfloat16(), torch.randn(items, HIDDEN).bfloat16()
    e = torch.rand(items, BATCH).bfloat16()
    times = []
    for _ in range(7):
        started = time.perf_counter()
        torch.mm(w, a.T), torch.mm(e.T, w), torch.mm(e, a)
        times.append(time.perf_counter() - started)
    return 3 * 2 * BATCH * HIDDEN * items / statistics.median(times)


def where_time_goes(ours: Ours, batch: Batch) -> dict[str, float]:
    """Milliseconds of a step by kind of operation, from torch's profiler."""
    kinds = {
        "products": ("aten::mm", "aten::addmm"),
        "adam": ("aten::_fused_adam_",),
        "bags": ("aten::_embedding_bag", "aten::_embedding_bag_forward_only"),
        "copies_and_casts": ("aten::copy_",),
    }
    for _ in range(2):  # the profiler's own start is in the first one
        with torch.profiler.profile() as profile:
            ours.step(batch)
    spent = {event.key: event.self_cpu_time_total / 1000 for event in profile.key_averages()}
    found = {kind: round(sum(spent.get(name, 0) for name in names), 1) for kind, names in kinds.items()}
    return {**found, "rest": round(sum(spent.values()) - sum(found.values()), 1)}


def contender(name: str, items: int, each: int, pipe: Connection) -> None:
    """A process that takes a step whenever it is told to, until it is told to stop."""
    batch = people(items, each, 1)[0]
    ours = Ours(items)
    if name == "isthmus":
        step, extra = (lambda: ours.step(batch)), (lambda: where_time_goes(ours, batch))
    else:
        textbook, x = Textbook(ours.state()), dense(batch, items)
        del ours
        step, extra = (lambda: textbook.step(x)), dict
    with nullcontext() if name == "textbook" else keep_freed_memory():
        for _ in range(3):
            step()
        pipe.send("ready")
        while pipe.recv():
            pipe.send(step())
        pipe.send(extra())


def timed(results: Results, items: int, each: int, rounds: int) -> None:
    names = ("textbook", "isthmus", "textbook, same allocator")
    context = multiprocessing.get_context("spawn")
    pipes, workers = {}, []
    for name in names:
        pipes[name], there = context.Pipe()
        workers.append(context.Process(target=contender, args=(name, items, each, there)))
        workers[-1].start()
    for pipe in pipes.values():
        pipe.recv()
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            time.sleep(0.2)  # the threads of the other process stop spinning
            pipes[name].send(True)
            times[name].append(pipes[name].recv())
    for name in ("textbook", "textbook, same allocator", "isthmus"):  # ours last, alone
        pipes[name].send(False)
        time.sleep(1)
    kinds = pipes["isthmus"].recv()
    for worker in workers:
        worker.join()
    report(results, items, each, times, kinds)


def report(results: Results, items: int, each: int, times: dict[str, list[float]], kinds: dict[str, float]) -> None:
    """One line."""
    rival, mine, rival_too = (statistics.median(series) for series in times.values())
    ratios = [a / b for a, b in zip(times["textbook"], times["isthmus"], strict=True)]
    peak = peak_products(items)
    results.add(
        question="one step against the dense fp32 textbook step",
        configuration={"items": items, "each": each, "batch": BATCH, "network": "600-200-600", "rounds": len(ratios)},
        textbook_seconds=rival,
        textbook_same_allocator_seconds=rival_too,
        isthmus_seconds=mine,
        ratio=statistics.median(ratios),
        ratio_same_allocator=rival_too / mine,
        peak_bf16_gflops=peak / 1e9,
        share_of_peak=3 * 2 * BATCH * HIDDEN * items / mine / peak,
        milliseconds_by_kind=kinds,
    )


def agreement(results: Results, items: int, each: int, steps: int) -> None:
    batches = people(items, each, 20)
    ours = Ours(items)
    textbook = Textbook(ours.state())
    for number in range(steps):
        batch = batches[number % len(batches)]
        ours.step(batch)
        textbook.step(dense(batch, items))
    mine = ours.clean_loss(batches[:4])
    rival = textbook.clean_loss([dense(batch, items) for batch in batches[:4]])
    results.add(
        question="loss after the same number of steps, nats per person",
        configuration={"items": items, "each": each, "batch": BATCH, "network": "600-200-600", "steps": steps},
        textbook_loss=rival,
        isthmus_loss=mine,
        difference=mine / rival - 1,
    )


def run(
    smoke: Smoke = False,
    part: Annotated[list[str] | None, typer.Option(help="times or agreement; both by default.")] = None,
    items: Annotated[int | None, typer.Option(help="20000 or 91599; both by default.")] = None,
    rounds: int = 9,
    steps: int = 200,
) -> list[Line]:
    """Both catalogues, or one."""
    results = Results(NAME, smoke=smoke)
    catalogues = {1_000: 5} if smoke else {items: CATALOGUES[items]} if items else CATALOGUES
    if smoke:
        rounds, steps = 1, 1
    for one in chosen(part, PARTS):
        for count, each in catalogues.items():
            if one == "times":
                timed(results, count, each, rounds)
            else:
                agreement(results, count, each, steps)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Seconds of a step, and the losses."""
    known = newest(lines, lambda line: (line["question"], line["configuration"]["items"], processor_kind(line)))
    rows = [
        (
            f"{line['device']['cpu']}, {processor_kind(line)}",
            f"{line['configuration']['items']:,} × {line['configuration']['each']}" + mark(line),
            f"{line['textbook_seconds']:.3f} s",
            f"{line['isthmus_seconds']:.3f} s",
            f"**{line['ratio']:.1f}×**",
            f"{line['ratio_same_allocator']:.1f}×",
            f"{line['share_of_peak']:.0%}",
        )
        for line in known
        if "ratio" in line
    ]
    told: list[str] = []
    for line in (line for line in known if "difference" in line):
        config, losses = line["configuration"], (line["textbook_loss"], line["isthmus_loss"])
        told += [
            "",
            f"After {config['steps']} steps on {config['items']:,} items: loss {losses[0]:.2f} (textbook) and "
            f"{losses[1]:.2f} (isthmus) nats per person, {line['difference']:+.2%}{mark(line)}.",
        ]
    head = [
        "processor", "items × each", "dense fp32 textbook", "isthmus", "faster", "than the textbook with our allocator",
        "share of bf16 peak",
    ]  # fmt: skip
    return ([*markdown(head, rows), "", OTHERS] if rows else []) + told
