"""Training steps that are captured in a CUDA graph and replayed, so that the host launches one graph instead of a
hundred kernels.

A graph repeats the same operations on tensors at the same addresses. The inputs of a step are therefore copied into
persistent buffers: the numbers of a batch's layout (``sources.Layout``), the learning rate and the progress. Batches
are padded with entries of weight 0 to one of a few sizes. A size is captured after it has occurred ``WARM`` times;
until then its steps are executed directly. These also do the warm-up that a capture needs: the optimiser creates its
moments and libraries their workspaces.

The capture follows PyTorch's documentation for whole networks: steps on a side stream, gradients set to None before the
capture, generators registered with the graph, a capturable optimiser. If a capture fails, training continues with
direct steps after a single warning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from isthmus.protocols import Phase, Source
from isthmus.sources import LaidOut
from isthmus.training.steps.step import Pace, Stepper, Terms

WARM = 3
"""Number of direct steps of a shape before it is captured."""

MOST_GRAPHS = 8
"""Maximum number of captured shapes, because each graph keeps the memory of a step."""

logger = logging.getLogger(__name__)


@runtime_checkable
class Capture(Protocol):
    """Records work on a device so that it can be repeated."""

    def warm(self, work: Callable[[], Terms]) -> Terms:
        """Do the work directly, as is necessary before it is recorded."""

    def record(self, work: Callable[[], Terms]) -> Callable[[], Terms]:
        """Record the work without doing it; the returned function repeats it on the same tensors."""


class CudaCapture:
    """A CUDA graph for each piece of work.

    Args:
        device: device of the work.
        generator: random generator that the work uses.
    """

    def __init__(self, device: torch.device, generator: Generator) -> None:
        self._device, self._generator = device, generator
        self._side = torch.cuda.Stream(device)

    def warm(self, work: Callable[[], Terms]) -> Terms:
        """Do the work on the stream of the capture."""
        current = torch.cuda.current_stream(self._device)
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            done = work()
        current.wait_stream(self._side)
        done.values.record_stream(current)
        return done

    def record(self, work: Callable[[], Terms]) -> Callable[[], Terms]:
        """Raises RuntimeError if the work cannot be captured."""
        # Graphs belong to the current device.
        with torch.cuda.device(self._device):
            graph = torch.cuda.CUDAGraph()
            graph.register_generator_state(self._generator)
            with torch.cuda.graph(graph, stream=self._side):
                written = work()

        def replay() -> Terms:
            with torch.cuda.device(self._device):
                graph.replay()
            return written

        return replay


CAPTURES: dict[str, Callable[[torch.device, Generator], Capture]] = {"cuda": CudaCapture}
"""Captures by type of device."""


class Prepared(NamedTuple):
    """A batch that has not been gathered yet: its layout on the device."""

    numbers: Int64[Tensor, " numbers"]
    shape: tuple[int, ...]


@dataclass
class _Shape:
    """The steps of one shape: their number, and then the graph with its input buffers."""

    seen: int = 0
    numbers: Tensor | None = None
    replay: Callable[[], Terms] | None = None


@dataclass
class GraphedSteps:
    """Executes steps by graphs where possible.

    Attributes:
        stepper: executes the steps.
        source: gathers batches on the device.
        capture: records steps.
        device: device of all of them.
    """

    stepper: Stepper
    source: LaidOut
    capture: Capture
    device: torch.device
    graphs: int = 0
    _shapes: dict[Any, _Shape] = field(default_factory=dict)
    _failed: bool = False

    def __post_init__(self) -> None:
        # The fused Adam of CUDA reads a learning rate in fp32.
        dtype = torch.float64 if self.device.type == "cpu" else torch.float32
        self._rate = torch.zeros((), dtype=dtype, device=self.device)
        self._progress = torch.zeros((), dtype=torch.float64, device=self.device)
        self._pace = Pace(self._rate, self._progress)

    def step(self, prepared: Prepared, phase: Phase, rate: float, progress: float) -> Terms:
        """One step.

        Args:
            prepared: layout of the batch, on the device.
            phase: the current phase of the plan.
            rate: the learning rate.
            progress: share of the planned training, from 0 to 1.

        Returns:
            The loss and its terms. The next step of the same shape overwrites them.
        """
        self._rate.fill_(rate)
        self._progress.fill_(progress)
        shape = self._shapes.setdefault((prepared.shape, self._way(phase)), _Shape())
        if shape.replay is None and shape.seen >= WARM and self.graphs < MOST_GRAPHS and not self._failed:
            self._record(shape, prepared, phase)
        if shape.replay is None or shape.numbers is None:
            shape.seen += 1
            return self.capture.warm(lambda: self._taken(prepared.numbers, prepared.shape, phase))
        shape.numbers.copy_(prepared.numbers, non_blocking=True)
        return shape.replay()

    def forget(self) -> None:
        """Drop all graphs, because a tensor that they write to has been replaced."""
        self._shapes, self.graphs = {}, 0

    def _taken(self, numbers: Tensor, shape: tuple[int, ...], phase: Phase) -> Terms:
        return self.stepper.step(self.source.gathered(numbers, shape), phase, self._pace)

    def _record(self, shape: _Shape, prepared: Prepared, phase: Phase) -> None:
        noise = self.stepper.noise
        drawn = noise.get_state()
        numbers = prepared.numbers.clone()
        # The graph then allocates the gradients in its own memory.
        self.stepper.optimizer.zero_grad(set_to_none=True)
        try:
            with _capturable(self.stepper.optimizer):
                shape.replay = self.capture.record(lambda: self._taken(numbers, prepared.shape, phase))
        except RuntimeError as error:
            self._failed = True
            self.stepper.optimizer.zero_grad(set_to_none=True)
            noise.set_state(drawn)
            told = " ".join(str(error).split())[:200]
            logger.warning("a step could not be captured in a graph (%s): training goes on without graphs", told)
            return
        shape.numbers = numbers
        self.graphs += 1

    def _way(self, phase: Phase) -> tuple[object, ...]:
        """All other state that the operations of a step depend on."""
        hooks = tuple(id(hook) for hook in phase.hooks if hook.when == "step")
        return phase.trainable, phase.corrupt, phase.sample_code, phase.samples, id(phase.objective), hooks


@contextmanager
def _capturable(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Set ``capturable`` inside the block only: the fused Adam keeps all its state on the device anyway, but it refuses
    to be captured without the flag, and warns about direct steps with it."""
    for group in optimizer.param_groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in optimizer.param_groups:
            group["capturable"] = False


def graphed(stepper: Stepper, source: Source, device: torch.device) -> GraphedSteps | None:
    """Steps by graphs, if the run allows them and they are possible.

    Args:
        stepper: executes the steps; its run says whether graphs are wanted.
        source: the training data, on the device.
        device: device of model and source.

    Returns:
        The steps; None for direct steps, with a warning if the run requires graphs.
    """
    wanted = stepper.run.graphs
    if wanted is False:
        return None
    obstacle = _obstacle(stepper, source, device)
    if obstacle is None:
        capture = CAPTURES[device.type](device, stepper.noise)
        return GraphedSteps(stepper, cast(LaidOut, source), capture, device)
    if wanted is True:
        logger.warning("graphs=True, but %s: training goes on without graphs", obstacle)
    return None


def _obstacle(stepper: Stepper, source: Source, device: torch.device) -> str | None:
    if device.type not in CAPTURES:
        return f"device {device.type} has none"
    if not stepper.plan.capturable or stepper.plan.rowwise or stepper.plan.optimizer != "adam":
        return "the steps of this model cannot be captured"
    if not (hasattr(source, "layout") and hasattr(source, "gathered")):
        return f"the shapes of batches of a {type(source).__name__} are not known beforehand"
    hooks = [hook for phase in stepper.plan.phases for hook in (*stepper.model.hooks, *phase.hooks)]
    if any(hook.when == "step" and hook.reset_optimizer for hook in hooks):
        return "the optimiser is reset after steps"
    return None
