"""The whole extension surface. Whatever fits one of these can be passed to the core; nothing needs to be inherited.

    records ─ Adapter ─▶ Batch ─ Corruption ─ Encoder ─▶ hidden ─ Bottleneck ─▶ Code ─ Decoder ─▶ decoded ─ Readout · Likelihood ─▶ nats

Axes, in the whole library: ``batch samples cells code entered hidden width targets steps rows k``. With S samples the
decoder sees ``batch * S`` rows, copies side by side (``Batch.repeat``). Losses are nats a record; scores grow with nearness.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.actions.action import Offer
from isthmus.batch import Batch, Signal, Tensors
from isthmus.reprs import brief
from isthmus.rowlists import RowLists

PartName = Literal["encoder", "bottleneck", "prior", "decoder", "readout", "likelihood"]

# --- what flows ------------------------------------------------------------------------------------------------------


@runtime_checkable
class Posterior(Protocol):
    """A distribution over codes, one for each row."""

    @property
    def mean(self) -> Float[Tensor, "batch *cells code"]: ...

    @property
    def log_scale(self) -> Float[Tensor, "batch *cells code"]: ...

    def log_prob(self, z: Float[Tensor, "batch_samples *cells code"]) -> Float[Tensor, " batch_samples"]:
        """Log density of samples laid out as ``Batch.repeat`` does, nats."""

    def sample(self, generator: Generator, samples: int = 1) -> Float[Tensor, "batch_samples *cells code"]:
        """Reparameterised draws, ``samples`` for each row, side by side."""


@dataclass(frozen=True)
class Code:
    """What a bottleneck makes of a hidden state.

    Attributes:
        point: the best single guess; what an index stores.
        sample: what the decoder sees; drawn only when a generator was given, else equal to ``point``.
        posterior: the distribution over codes, or None where there is none.
        notes: what a penalty may need (pre-activations, commitments, ...), by name.
    """

    point: Float[Tensor, "batch *cells code"]
    sample: Float[Tensor, "batch_samples *cells code"]
    posterior: Posterior | None = None
    notes: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One forward pass, whole. ``log_likelihood`` and everything drawn has ``samples`` columns."""

    model: Model
    batch: Batch
    code: Code
    decoded: Any
    log_likelihood: Float[Tensor, "batch samples"]
    samples: int
    generator: Generator | None


@runtime_checkable
class Source(Protocol):
    """A data set prepared for one device. ``batch`` takes rows on that device or on the CPU."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Entries, steps or width of each row; what batching by size reads."""

    def to(self, device: torch.device) -> Source: ...
    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch: ...


@runtime_checkable
class Adapter(Protocol):
    """From a domain's records to tensors. ``fit`` and ``restore`` are class methods that return a ready adapter."""

    @property
    def signal(self) -> Signal: ...

    @classmethod
    def read(cls, source: Any, **options: Any) -> Any:
        """Records from a file or object of the domain."""

    @classmethod
    def fit(cls, records: Any) -> Adapter:
        """Learn what has to be known of the records: vocabularies, scales."""

    def prepare(self, records: Any) -> Source:
        """Records as batches; what ``fit`` never saw is dropped or refused, never guessed."""

    def state(self) -> Mapping[str, str]:
        """What ``restore`` needs, as named text documents."""

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> Adapter: ...


# --- the parts -------------------------------------------------------------------------------------------------------


@runtime_checkable
class Corruption(Protocol):
    """Noise on the inputs, in training only."""

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors: ...


@runtime_checkable
class Encoder(Protocol):
    """``enter`` reaches the first differentiable state (pixels, a sum of item vectors, token vectors); ``trunk`` goes
    on from there. The seam is where penalties take derivatives and where pseudo-inputs live."""

    def enter(self, inputs: Tensors) -> Tensor: ...
    def trunk(self, entered: Tensor, inputs: Tensors | None) -> Tensor: ...


@runtime_checkable
class Bottleneck(Protocol):
    """From a hidden state to a code. Without a generator there is no randomness and ``sample`` equals ``point``,
    repeated."""

    def __call__(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code: ...


@runtime_checkable
class Prior(Protocol):
    """What codes are expected to look like, and what it costs that they do not."""

    def rate(self, step: Step) -> Float[Tensor, " batch"]:
        """Nats a record that the code spends: the KL divergence from the prior, exact or estimated; 0 without one."""

    def log_prob(self, step: Step) -> Float[Tensor, "batch samples"]:
        """Log density of the step's samples under the prior, nats."""

    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n *cells code"]: ...


@runtime_checkable
class Decoder(Protocol):
    """From samples to whatever the readout reads. Sequence decoders are teacher-forced by ``given.targets``, residual
    ones read ``given.inputs``; ``given`` is laid out like ``sample``."""

    def __call__(self, sample: Tensor, given: Batch | None) -> Any: ...


@runtime_checkable
class SequenceDecoder(Decoder, Protocol):
    """A decoder that can also go one step at a time with a cache."""

    def start(self, sample: Float[Tensor, "batch code"]) -> Any: ...
    def advance(self, state: Any, ids: Int64[Tensor, " batch"]) -> tuple[Float[Tensor, "batch hidden"], Any]: ...

    def reorder(self, state: Any, rows: Int64[Tensor, " rows"]) -> Any:
        """The state of the given rows, for beams."""


Columns = slice | Int64[Tensor, " columns"] | None


@runtime_checkable
class Readout(Protocol):
    """The last layer, a part of its own, so that no call needs every column."""

    def logits(self, decoded: Any, columns: Columns = None) -> Tensor: ...


@runtime_checkable
class RankingReadout(Readout, Protocol):
    """A readout whose logits are inner products: ``logit_i = [d, 1] · [w_i, b_i]``. An index over ``vectors()``, asked
    with ``queries(d)``, ranks exactly as the decoder does."""

    if TYPE_CHECKING:
        # Modules hold these as parameters, which ``isinstance`` does not see from Python 3.12 on: it asks for the
        # methods alone, ``isthmus.core.readouts.ranks`` for all.
        @property
        def weight(self) -> Float[Tensor, "width hidden"]: ...

        @property
        def bias(self) -> Float[Tensor, " width"]: ...

    def vectors(self) -> Float[Tensor, "width hidden_plus_one"]: ...
    def queries(self, decoded: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden_plus_one"]: ...


@runtime_checkable
class Likelihood(Protocol):
    """How probable the targets are. It is handed the readout and the decoded state, never finished logits."""

    def __call__(
        self, readout: Any, decoded: Any, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded), nats."""

    def mean(self, readout: Any, decoded: Any) -> Tensor: ...
    def sample(self, readout: Any, decoded: Any, generator: Generator) -> Tensor: ...


@runtime_checkable
class Model(Protocol):
    """The parts joined, as penalties, priors, objectives and hooks see them: ``isthmus.core.Autoencoder`` is one."""

    if TYPE_CHECKING:  # Modules hold these in a way that ``isinstance`` does not see, as in ``RankingReadout``.
        encoder: Encoder
        bottleneck: Bottleneck
        prior: Prior
        decoder: Decoder
        readout: Readout
        likelihood: Likelihood
        corruption: Corruption | None

    def scaled(self, inputs: Tensors) -> Tensors:
        """What the encoder enters: the inputs after the model's fixed change of them, if any."""

    def encode(self, inputs: Tensors, *, generator: Generator | None = None, samples: int = 1) -> Code: ...
    def decode(self, sample: Tensor, given: Batch | None = None) -> Any: ...

    def parameters_of(self, *parts: PartName) -> Iterator[nn.Parameter]:
        """The parameters of some parts, each once; with none named, of all."""


Penalty = Callable[[Step], Mapping[str, Tensor]]
"""Named scalars that are added to the objective."""

Objective = Callable[[Step, Float[Tensor, " batch"], Any], Float[Tensor, ""]]
"""``(step, rate, progress) -> scalar``; progress runs from 0 to 1 over the planned training, in records seen."""


@dataclass(frozen=True)
class Hook:
    """Something to do to a model after every step or epoch: unit norms, dead counts, the old encoder.

    Attributes:
        when: after every step, or after every epoch (before its score and its checkpoint).
        act: what is done, in place.
        reset_optimizer: parts whose moments the optimiser drops then, because they were drawn anew.
    """

    when: Literal["step", "epoch"]
    act: Callable[[Model], None]
    reset_optimizer: tuple[PartName, ...] = ()


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes:
        epochs: how many passes over the source.
        trainable: the parts that train; none given means all.
        corrupt: whether the corruption is on.
        objective: replaces the model's own objective.
        hooks: run in this phase beside the model's own.
        name: for history and progress.
        sample_code: whether the decoder sees a draw from the posterior; else it sees the point.
        validate: whether a validation score is taken, so that the epochs of this phase can be the best ones.
        samples: draws of the code for each row of a batch; more than one is what importance weights are for.
    """

    epochs: int
    trainable: tuple[PartName, ...] = ()
    corrupt: bool = True
    objective: Objective | None = None
    hooks: tuple[Hook, ...] = ()
    name: str = ""
    sample_code: bool = True
    validate: bool = True
    samples: int = 1


# --- ranking ----------------------------------------------------------------------------------------------------------


@brief
@dataclass(frozen=True)
class Neighbours:
    """Answers, best first; equal scores in ascending order of row. Where fewer than k exist: row -1, score -inf."""

    rows: Int64[Tensor, "batch k"]
    scores: Float[Tensor, "batch k"]


@runtime_checkable
class Ranker(Protocol):
    """Whatever scores every column for a row of inputs: an autoencoder, a linear model, a sum. Tasks see only this."""

    @property
    def width(self) -> int:
        """How many columns are ranked."""

    def prepare(self, inputs: Tensors) -> Any:
        """What is computed once for some rows (bags of columns, or sequences of them in order), before their columns
        are scored in blocks. Inputs that a ranker cannot use are refused with a ``SettingError``."""

    def scores(self, state: Any, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Higher is better. A new tensor, which the caller may overwrite."""


@runtime_checkable
class LinearRanker(Ranker, Protocol):
    """scores = x B. What contributes to a column, and how much, can be read off."""

    def weights_for(self, column: int) -> Float[Tensor, " width"]:
        """That column of B."""


@runtime_checkable
class Searcher(Protocol):
    """Nearest vectors. The score of ``l2`` is the negative squared distance."""

    def search(
        self,
        queries: Float[Tensor, "batch width"],
        k: int,
        *,
        exclude: RowLists | None = None,
        allow: Int64[Tensor, " allowed"] | RowLists | None = None,
    ) -> Neighbours: ...


# --- building --------------------------------------------------------------------------------------------------------


@runtime_checkable
class Recipe(Protocol):
    """What a builder yields: a network or matrix with its own way to be fitted. Saved are ``model.state_dict()`` and
    the builder's name and keywords, which rebuild the rest."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def chooses_epoch(self) -> bool:
        """Whether a validation score chooses among epochs. Where it does not, rows held out to measure the score are
        better used for fitting once more."""

    def fit(self, source: Source, run: Any, validation: Any = None) -> Any:
        """Fit ``model`` in place and return the history."""


Builder = Callable[..., Recipe]
"""``(signal, *, generator, **settings) -> Recipe``: settings of parts under a published name. Every setting is a JSON
value with a default; the docstring names the paper."""

Command = Callable[..., None]
"""An annotated function that typer can turn into a command; ``fit`` and ``demo`` create bundles, the others get one."""


@runtime_checkable
class Face(Protocol):
    """What users meet of a domain. ``save`` writes a bundle; ``load`` refuses any other with a ``BundleError``."""

    def save(self, path: str | Path, /) -> None: ...
    @classmethod
    def load(cls, path: str | Path, /) -> Face: ...


if TYPE_CHECKING:
    AdapterClass = type[Adapter]
else:
    # Python answers no issubclass for a protocol with a property, and the tests execute annotations.
    AdapterClass = type


@dataclass(frozen=True)
class Plugin:
    """What an entry point of the group ``isthmus.adapters`` yields.

    Attributes:
        adapter: the class that turns records into tensors.
        builders: the models that make sense here, by Python name.
        commands: the verbs of the command line, by name.
        faces: what users meet, by the names of the classes: ``isthmus.load`` opens bundles as one of them.
        face_for: where there are several, ``(builder, facts) -> name`` of the one that saved a bundle.
        serving: what a face offers over HTTP and to agents; imports what that needs when it is called.
    """

    adapter: AdapterClass
    builders: Mapping[str, Builder] = field(default_factory=dict)
    commands: Mapping[str, Command] = field(default_factory=dict)
    faces: Mapping[str, type[Face]] = field(default_factory=dict)
    face_for: Callable[[str, Mapping[str, Any]], str] | None = None
    serving: Callable[[Any], Offer] | None = None
