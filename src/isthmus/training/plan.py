"""Training plans: phases and the optimiser; device, seed and similar settings are in ``run``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from isthmus.errors import SettingError
from isthmus.protocols import Phase
from isthmus.reprs import brief
from isthmus.training.batching import Batching, Shuffled

DECAYS = ("constant", "cosine", "timed", "halving")
OPTIMIZERS = ("adam", "muon", "sgd", "mixed")


@brief
@dataclass(frozen=True)
class Plan:
    """Phases and the optimiser.

    Attributes:
        phases: in order; their epochs add up.
        batching: how an epoch is split into batches.
        learning_rate: initial learning rate.
        decay: ``constant``; ``cosine``: from the learning rate to 0 over the whole plan (Loshchilov & Hutter 2017);
            ``timed``: the same, but it also reaches 0 when a run's time limit is over, if that comes first, so that a
            training that is cut short by it ends well; its result then depends on the speed of the machine. Of several
            processes, which must have the same rate, the time is not looked at. Or ``halving``: half as large after
            every epoch whose validation score is not the best so far; without validation that is constant.
        betas: decay rates of Adam.
        weight_decay: an L2 penalty: weight_decay · W is added to the gradient of matrices, but not of biases.
        clip: maximum L2 norm of the whole gradient; None for no limit.
        patience: epochs without a better validation score before training stops; None trains to the end.
        average: η of an average of the weights over epochs, which is then scored and kept: it reaches back over about
            the last 1 / (η + 1) of the training, see ``isthmus.training.steps.averaging``. None keeps the weights of an
            epoch.
        rowwise: whether sparse gradients only update their rows (``sparse_adam.RowwiseAdam``).
        optimizer: ``adam`` (Kingma & Ba 2015); ``muon``, which makes the updates of large matrices orthogonal
            (``steps.muon``); ``sgd``, stochastic gradient descent without momentum; or ``mixed``, the
            latter for decoder and readout, and for the other parts Adam with 0.003 times the learning rate.
        capturable: whether a step does the same tensor operations for every batch: it never synchronises with the
            device, keeps no state in Python (counters, switches), draws only from the trainer's generator, and its
            schedules accept the progress as a tensor. Such steps may be captured in a CUDA graph; if a step does not
            meet these conditions, its replay is wrong.
        plain: whether the loss is the mean of −log p of the decoded point alone: nothing is drawn but the corruption of
            the inputs, and there is no rate and no penalty. Such steps may be computed without automatic
            differentiation (``isthmus.training.steps.plain``).
    """

    phases: tuple[Phase, ...]
    batching: Batching = field(default_factory=Shuffled)
    learning_rate: float = 1e-3
    decay: str = "constant"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float | None = None
    patience: int | None = None
    rowwise: bool = False
    optimizer: str = "adam"
    capturable: bool = False
    plain: bool = False
    average: float | None = None

    def __post_init__(self) -> None:
        if not self.phases or any(phase.epochs < 1 for phase in self.phases):
            raise SettingError("a plan without epochs", expected="at least one phase of at least one epoch")
        for phase in self.phases:
            if phase.samples < 1 or (phase.samples > 1 and not phase.sample_code):
                raise SettingError(
                    f"{phase.samples} samples of a phase with sample_code={phase.sample_code}",
                    expected="at least 1, and 1 if no code is drawn",
                )
        if self.learning_rate <= 0:
            raise SettingError(f"learning rate {self.learning_rate}", expected="a positive number")
        if not self.weight_decay >= 0:
            raise SettingError(f"weight decay {self.weight_decay}", expected="a number of 0 or more")
        if self.patience is not None and self.patience < 1:
            raise SettingError(f"patience {self.patience}", expected="at least 1 epoch, or none")
        if self.average is not None and not 0 <= self.average < math.inf:
            raise SettingError(f"average {self.average}", expected="a number of 0 or more, or none")
        if self.average is not None and self.optimizer != "adam":
            raise SettingError(
                f"average {self.average} with {self.optimizer}", expected="adam, which keeps the average"
            )
        if self.rowwise and self.clip is not None:
            raise SettingError(
                f"clip {self.clip} of a row-wise plan", expected="None", remedy="lower the learning rate"
            )
        if self.decay not in DECAYS:
            raise SettingError(f"decay {self.decay!r}", expected=" or ".join(map(repr, DECAYS)))
        if self.optimizer not in OPTIMIZERS:
            raise SettingError(f"optimizer {self.optimizer!r}", expected=" or ".join(map(repr, OPTIMIZERS)))
        if self.rowwise and self.optimizer != "adam":
            raise SettingError(f"optimizer {self.optimizer!r} of a row-wise plan", expected="'adam'")

    @property
    def epochs(self) -> int:
        """The total number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    def described(self) -> str:
        """The plan as text that is the same in every process."""
        phases = [(phase.name, phase.epochs, phase.trainable, phase.corrupt) for phase in self.phases]
        numbers = f"learning rate {self.learning_rate} {self.decay}, betas {self.betas}, clip {self.clip}"
        rowwise = ", row-wise" if self.rowwise else ""
        optimizer = "" if self.optimizer == "adam" else f", {self.optimizer}"
        points = [index for index, phase in enumerate(self.phases) if not phase.sample_code]
        samples = [phase.samples for phase in self.phases]
        others = [_named(phase.likelihood) for phase in self.phases]
        return (
            f"phases {phases}, {self.batching}, {numbers}, weight decay {self.weight_decay}, patience {self.patience}"
            f"{rowwise}{optimizer}{f', without draws in phases {points}' if points else ''}"
            f"{f', samples {samples}' if max(samples) > 1 else ''}{f', likelihoods {others}' if any(others) else ''}"
            f"{'' if self.average is None else f', average {self.average}'}"
        )

    def phase_of(self, epoch: int) -> Phase:
        """The phase that epoch number ``epoch`` (from 0) belongs to."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase
            epoch -= phase.epochs
        raise SettingError(f"epoch {epoch} beyond the plan", expected=f"an epoch below {self.epochs}")


def _named(part: object) -> str | None:
    """A part in words that are the same in every process: the usual repr has an address in it."""
    if part is None or type(part).__repr__ is not object.__repr__:
        return None if part is None else repr(part)
    return type(part).__name__
