"""One training loop for all autoencoders. It handles sources, batches and steps, but no domains, files, metrics,
distributed training or printing."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from isthmus.core.autoencoder import Autoencoder
from isthmus.disk import private_folder
from isthmus.errors import InputError, NonFiniteLossError
from isthmus.protocols import PartName, Phase, Source
from isthmus.training.checkpoint import CheckpointStore, TrainingState
from isthmus.training.history import History
from isthmus.training.interrupts import StopRequest, interruptible
from isthmus.training.plan import Plan
from isthmus.training.process import denormals_as_zero, keep_freed_memory
from isthmus.training.run import Run, Validation
from isthmus.training.sparse_adam import RowwiseAdam

logger = logging.getLogger(__name__)

FEWEST_STEPS = 50
"""Of an epoch that a signal ends: after fewer of them it is as if it had not begun. Whoever sets a time limit wants
what can be had within it, be it a step."""

LOOK_EVERY = 50
"""Steps between two looks at the loss on an accelerator, which runs ahead of its host until the host asks for a number.
On a CPU every step is looked at."""


def train(
    model: Autoencoder, source: Source, plan: Plan, run: Run | None = None, validation: Validation | None = None
) -> History:
    """Train in place. Afterwards the model has the weights with the best validation score, or without one the last
    weights.

    Ctrl-C and SIGTERM end the training, not the program: the best weights so far are kept and the history says so; see
    ``isthmus.training.interrupts``. The epoch in which that happens, or the time limit, is scored like the others, so
    that what was learned in it is not lost.

    Args:
        model: moved to the device of the run; in evaluation mode afterwards.
        source: training data.
        plan: phases, batches, optimiser.
        run: device, seed, precision, progress, checkpoints; by default ``Run()``.
        validation: a score that chooses the best epoch; higher is better.

    Returns:
        One record for each epoch, and the number of the best one.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite; the model has the best weights so far, if any.
        InputError: a source without rows.
    """
    if len(source) == 0:
        raise InputError("a source without rows", expected="at least one row to train on")
    run = run or Run()
    with _store(run) as store:
        return _Training(model, source, plan, run, validation, store).go()


@dataclass
class _Pass:
    """What was done of an epoch: sums of the loss and its terms over the rows that were seen."""

    epoch: int
    phase: Phase
    started: float = field(default_factory=lambda: time.perf_counter())
    sums: dict[str, Tensor] = field(default_factory=dict)
    rows: int = 0
    steps: int = 0
    shown: int = 0
    known: tuple[int, dict[str, float]] = (0, {})

    def add(self, terms: Mapping[str, Tensor], rows: int) -> None:
        for name, value in terms.items():
            self.sums[name] = value * rows + self.sums[name] if name in self.sums else value * rows
        self.rows, self.steps = self.rows + rows, self.steps + 1

    def means(self) -> dict[str, float]:
        """Of the loss and its terms, for which a device is waited for once."""
        if self.known[0] != self.rows:
            values = torch.stack([value.detach() for value in self.sums.values()]).tolist()
            self.known = self.rows, {name: value / self.rows for name, value in zip(self.sums, values, strict=True)}
        return self.known[1]


class _Training:
    def __init__(
        self,
        model: Autoencoder,
        source: Source,
        plan: Plan,
        run: Run,
        validation: Validation | None,
        store: CheckpointStore,
    ) -> None:
        self.device = run.torch_device()
        self.model, self.source = model.to(self.device), source.to(self.device)
        self.plan, self.run, self.validation, self.store = plan, run, validation, store
        self.order, self.noise = run.generator("cpu", 1), run.generator(self.device, 2)
        self.optimizer = adam(model, plan)
        self.state = TrainingState(
            f"{plan.described()}, {len(source)} rows, seed {run.seed}",
            model,
            self.optimizer,
            {"order": self.order, "noise": self.noise},
        )
        self.pace = 1 if self.device.type == "cpu" else LOOK_EVERY
        self.trainable = [p for p in model.parameters() if p.requires_grad]
        self.numbers = sum(p.numel() for p in model.parameters() if p.ndim > 1)
        self.history = History()
        self.seen = 0
        self.latest: _Pass | None = None
        self.last = plan.epochs if run.until is None else min(run.until, plan.epochs)
        self.deadline = math.inf if run.time_limit is None else time.perf_counter() + run.time_limit

    def go(self) -> History:
        first = self._resumed()
        metric = self.validation.name if self.validation else None
        self.history.metric = metric
        self.run.progress.start(self.last, len(self.source), metric, first)
        try:
            with interruptible() as stop, stop.telling(self._kept), keep_freed_memory():
                if not stop.attempt(lambda: self._epochs(first, stop)):
                    self._unscored()
                self.history.interrupted = stop.requested
        except BaseException:
            self.run.progress.stop()
            self._finish_anyway()
            raise
        self.run.progress.stop()
        self._finish()
        return self.history

    def _epochs(self, first: int, stop: StopRequest) -> None:
        for epoch in range(first, self.last):
            if not self._epoch(epoch, stop):
                break

    def _kept(self) -> str:
        """What a signal is answered with."""
        history, latest = self.history, self.latest
        counts = latest is not None and latest.steps >= FEWEST_STEPS
        if not history.records and not counts:
            return "no epoch is finished yet, so there is nothing to keep"
        if history.best_epoch is None:
            done = f"after epoch {history.epochs}" if history.epochs else "in its first epoch"
            return f"keeping the model as it is ({done})"
        better = ", or what it is now if that is better" if counts else ""
        return f"keeping the best model so far (epoch {history.best_epoch}){better}"

    def _resumed(self) -> int:
        if not self.run.resume:
            self.store.check_empty()
            return 0
        first, self.history = self.store.resume(self.state)
        self.history.interrupted = self.history.out_of_time = False
        self.seen = first * len(self.source)
        return first

    def _epoch(self, epoch: int, stop: StopRequest) -> bool:
        """One pass over the source, its score and its checkpoint; false where training is to end."""
        done = self.latest = _Pass(epoch, self.plan.phase_of(epoch))
        self._select(done.phase)
        with denormals_as_zero():
            whole = self._pass(done, stop)
        if whole:
            self._act("epoch", done.phase)
        elif done.steps < (1 if self.history.out_of_time else FEWEST_STEPS):
            return False
        record = self._record(done, whole)
        if self.validation and ((epoch + 1) % self.validation.every == 0 or not whole):
            self.model.eval()
            record |= self.validation.numbers(self.model, scored=done.phase.validate)
        record["seconds"] = time.perf_counter() - done.started
        with stop.held():
            self._take(record, whole)
            self.latest = None
        return whole and not (stop.requested or self.history.stopped_early or self._late())

    def _record(self, done: _Pass, whole: bool) -> dict[str, float | int | str]:
        means = done.means()
        part = {} if whole else {"part": done.rows / len(self.source)}
        rate = {"learning_rate": self._rate()}
        return {"epoch": done.epoch + 1, "phase": done.phase.name, **part, **means, **rate}

    def _unscored(self) -> None:
        """A second signal came: where no epoch is done, the part that is done is all there is."""
        done = self.latest
        if not self.history.records and done is not None and done.steps >= FEWEST_STEPS:
            seconds = {"seconds": time.perf_counter() - done.started}
            self.history.take(self._record(done, done.rows == len(self.source)) | seconds)

    def _take(self, record: dict[str, float | int | str], whole: bool) -> None:
        epoch = int(record["epoch"])
        self._keep_if_best(record)
        patience = self.plan.patience
        self.history.stopped_early = whole and patience is not None and self.history.since_best() >= patience
        self.run.progress.epoch(record)
        # A training is resumed between two epochs.
        if whole and self.run.checkpoints and (epoch % self.run.every == 0 or epoch == self.last):
            self.store.save(epoch, self.state, self.history)

    def _keep_if_best(self, record: dict[str, float | int | str]) -> None:
        history = self.history
        before = history.best_epoch, history.best_score
        if not history.take(record):
            return
        try:
            self.store.keep_best(int(record["epoch"]), self.model)
        except BaseException:
            # The best weights on the disk are still those of before.
            history.best_epoch, history.best_score = before
            raise

    def _pass(self, done: _Pass, stop: StopRequest) -> bool:
        """All steps of an epoch; false where Ctrl-C or the time limit came first."""
        self.model.train()
        for rows in self.plan.batching(self.source.lengths.cpu(), self.order):
            if stop.requested or self._late():
                return False
            done.add(self._step(rows, done.phase, done.epoch, stop), len(rows))
            if done.steps % self.pace == 0:
                self._look(done)
        self._look(done)
        return True

    def _look(self, done: _Pass) -> None:
        """Wait for the device, show the mean loss so far and check that it is finite."""
        if new := done.rows - done.shown:
            # One number is read faster than all; what makes an accelerator slow is to be asked at all.
            mean = float(done.sums["loss"]) / done.rows if self.pace == 1 else done.means()["loss"]
            if not math.isfinite(mean):
                raise self._non_finite(mean, done.epoch)
            done.shown = done.rows
            self.run.progress.step(new, mean)

    def _step(self, rows: Tensor, phase: Phase, epoch: int, stop: StopRequest) -> dict[str, Tensor]:
        progress = self._progress()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        batch = self.source.batch(rows)
        with self.run.products(self.numbers * len(rows)):
            step = self.model.step(
                batch, generator=self.noise, samples=phase.samples, corrupt=phase.corrupt, sample_code=phase.sample_code
            )
            loss = self.model.loss(step, progress=progress, objective=phase.objective)
        # Where nobody has to be waited for, weights never see a loss that is not finite.
        if self.pace == 1 and not math.isfinite(value := float(loss.total.detach())):
            raise self._non_finite(value, epoch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        if self.plan.clip is not None:
            nn.utils.clip_grad_norm_(self.trainable, self.plan.clip)
        with stop.held():
            self.optimizer.step()
            self._act("step", phase)
        self.seen += len(rows)
        return {"loss": loss.total.detach(), **loss.terms}

    def _late(self) -> bool:
        self.history.out_of_time = time.perf_counter() > self.deadline
        return self.history.out_of_time

    def _progress(self) -> float:
        """Progress from 0 to 1, in rows seen over the whole plan."""
        return self.seen / (self.plan.epochs * len(self.source))

    def _rate(self) -> float:
        if self.plan.decay == "constant":
            return self.plan.learning_rate
        return self.plan.learning_rate * 0.5 * (1 + math.cos(math.pi * self._progress()))

    def _select(self, phase: Phase) -> None:
        chosen = {id(parameter) for parameter in self.model.parameters_of(*phase.trainable)}
        for parameter in self.trainable:
            parameter.requires_grad_(id(parameter) in chosen)

    def _act(self, when: str, phase: Phase) -> None:
        with torch.no_grad():
            for hook in (*self.model.hooks, *phase.hooks):
                if hook.when == when:
                    hook.act(self.model)
                    if hook.reset_optimizer:
                        self._reset(hook.reset_optimizer)

    def _reset(self, parts: tuple[PartName, ...]) -> None:
        for parameter in self.model.parameters_of(*parts):
            self.optimizer.state.pop(parameter, None)

    def _finish(self) -> None:
        """Clean up after the training: restore the best weights and ``requires_grad``, and drop gradients."""
        for parameter in self.trainable:
            parameter.requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        if self.history.best_epoch is not None:
            self.store.load_best(self.history.best_epoch, self.model)
        self.model.eval()

    def _finish_anyway(self) -> None:
        """As ``_finish``; what goes wrong here must not hide what ended the training."""
        try:
            self._finish()
        except Exception as error:
            logger.warning("the best weights could not be put back: %s", error)

    def _non_finite(self, value: float, epoch: int) -> NonFiniteLossError:
        kept = f"checkpoints are in {self.run.checkpoints}" if self.run.checkpoints else "there are no checkpoints"
        return NonFiniteLossError(
            f"the loss became {value} in epoch {epoch + 1}",
            expected="a finite number",
            remedy=f"lower the learning rate, set clip=1.0, or use precision='fp32'; {kept}",
        )


def adam(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimiser for all trainable parameters of the model."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    # One group without weight decay; each group costs the time of a small matrix product in every step.
    matrices = [p for p in trainable if p.ndim > 1 or not plan.weight_decay]
    others = [p for p in trainable if p.ndim <= 1 and plan.weight_decay]
    groups = [
        {"params": params, "weight_decay": decay}
        for params, decay in ((matrices, plan.weight_decay), (others, 0.0))
        if params
    ]
    if plan.rowwise:
        return RowwiseAdam(groups, lr=plan.learning_rate, betas=plan.betas)
    return torch.optim.Adam(groups, lr=plan.learning_rate, betas=plan.betas, fused=True)


@contextmanager
def _store(run: Run) -> Iterator[CheckpointStore]:
    if run.checkpoints is not None:
        yield CheckpointStore(run.checkpoints)
        return
    with private_folder("isthmus-training") as directory:
        yield CheckpointStore(directory, durable=False)
