"""The protocols of all extensible parts. Any object that fits one can be passed to the core, without inheritance.

    records ─ Adapter ─▶ Batch ─ Corruption ─ Encoder ─▶ hidden ─ Bottleneck ─▶ Code ─ Decoder ─▶ decoded ─ Readout · Likelihood ─▶ nats

Axes, in the whole library: ``batch samples cells code entered hidden width targets steps rows k``. With S samples the
decoder gets ``batch * S`` rows, copies side by side (``Batch.repeat``). Losses: nats per record; high scores are near.
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
    """The output of a bottleneck for hidden states.

    Attributes:
        point: the best point estimate, which an index stores.
        sample: the input of the decoder; only drawn if a generator is given, otherwise equal to ``point``.
        posterior: the distribution over codes, or None if there is none.
        notes: values that penalties may need (pre-activations, commitments, ...), by name.
    """

    point: Float[Tensor, "batch *cells code"]
    sample: Float[Tensor, "batch_samples *cells code"]
    posterior: Posterior | None = None
    notes: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """All results of a forward pass. ``log_likelihood`` and everything drawn has ``samples`` columns."""

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
        """Number of entries, steps or columns of each row, for batching by size."""

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
        """Learn the properties of the records, such as vocabularies and scales."""

    def prepare(self, records: Any) -> Source:
        """Records as batches; anything unknown to ``fit`` is dropped or raises an error, and is never guessed."""

    def state(self) -> Mapping[str, str]:
        """The state for ``restore``, as named text documents."""

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> Adapter: ...


# --- the parts -------------------------------------------------------------------------------------------------------


@runtime_checkable
class Corruption(Protocol):
    """Noise on the inputs, in training only."""

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors: ...


@runtime_checkable
class Encoder(Protocol):
    """``enter`` reaches the first differentiable state (pixels, a sum of item vectors, token vectors); ``trunk``
    continues from there. Penalties take derivatives at this state, and pseudo-inputs are of its shape."""

    def enter(self, inputs: Tensors) -> Tensor: ...
    def trunk(self, entered: Tensor, inputs: Tensors | None) -> Tensor: ...


@runtime_checkable
class Bottleneck(Protocol):
    """From a hidden state to a code. Without a generator there is no randomness and ``sample`` equals ``point``,
    repeated."""

    def __call__(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code: ...


@runtime_checkable
class Prior(Protocol):
    """The expected distribution of codes, and the cost of deviations from it."""

    def rate(self, step: Step) -> Float[Tensor, " batch"]:
        """The rate, in nats per record: the KL divergence from the prior, exact or estimated; 0 without a posterior."""

    def log_prob(self, step: Step) -> Float[Tensor, "batch samples"]:
        """Log density of the step's samples under the prior, nats."""

    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n *cells code"]: ...


@runtime_checkable
class Decoder(Protocol):
    """From samples to the input of the readout. Sequence decoders are teacher-forced with ``given.targets``, residual
    ones read ``given.inputs``; ``given`` is laid out like ``sample``."""

    def __call__(self, sample: Tensor, given: Batch | None) -> Any: ...


@runtime_checkable
class SequenceDecoder(Decoder, Protocol):
    """A decoder that can also decode one step at a time, with a cache."""

    def start(self, sample: Float[Tensor, "batch code"]) -> Any: ...
    def advance(self, state: Any, ids: Int64[Tensor, " batch"]) -> tuple[Float[Tensor, "batch hidden"], Any]: ...

    def reorder(self, state: Any, rows: Int64[Tensor, " rows"]) -> Any:
        """The state of the given rows, for beams."""


Columns = slice | Int64[Tensor, " columns"] | None


@runtime_checkable
class Readout(Protocol):
    """The last layer, as a separate part, so that no call needs all columns."""

    def logits(self, decoded: Any, columns: Columns = None) -> Tensor: ...


@runtime_checkable
class RankingReadout(Readout, Protocol):
    """A readout whose logits are inner products: ``logit_i = [d, 1] · [w_i, b_i]``. An index of ``vectors()``, searched
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
    """The probability of the targets. It receives the readout and the decoded state, never finished logits."""

    def __call__(
        self, readout: Any, decoded: Any, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded), nats."""

    def mean(self, readout: Any, decoded: Any) -> Tensor: ...
    def sample(self, readout: Any, decoded: Any, generator: Generator) -> Tensor: ...


@runtime_checkable
class Model(Protocol):
    """A complete model, as penalties, priors, objectives and hooks see it, such as ``isthmus.core.Autoencoder``."""

    if TYPE_CHECKING:  # Modules hold these in a way that ``isinstance`` does not see, as in ``RankingReadout``.
        encoder: Encoder
        bottleneck: Bottleneck
        prior: Prior
        decoder: Decoder
        readout: Readout
        likelihood: Likelihood
        corruption: Corruption | None

    def scaled(self, inputs: Tensors) -> Tensors:
        """The inputs of the encoder: after the model's fixed scaling, if any."""

    def encode(self, inputs: Tensors, *, generator: Generator | None = None, samples: int = 1) -> Code: ...
    def decode(self, sample: Tensor, given: Batch | None = None) -> Any: ...

    def parameters_of(self, *parts: PartName) -> Iterator[nn.Parameter]:
        """The parameters of some parts, each once; of all parts if none is named."""


Penalty = Callable[[Step], Mapping[str, Tensor]]
"""A penalty: returns named scalars that are added to the objective."""

Objective = Callable[[Step, Float[Tensor, " batch"], Any], Float[Tensor, ""]]
"""``(step, rate, progress) -> scalar``; progress runs from 0 to 1 over the planned training, in records seen."""


@dataclass(frozen=True)
class Hook:
    """An action on a model after every step or epoch, such as normalising weights or copying the encoder.

    Attributes:
        when, act: the action, in place, after every step or after every epoch (before its score and its checkpoint).
        reset_optimizer: parts whose optimiser state is then dropped, because they were reinitialised.
    """

    when: Literal["step", "epoch"]
    act: Callable[[Model], None]
    reset_optimizer: tuple[PartName, ...] = ()


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes:
        epochs: number of passes over the source.
        trainable: the parts that train; none given means all.
        corrupt: whether the corruption is on.
        objective, likelihood: replace those of the model, in training alone.
        hooks: hooks of this phase, in addition to the model's own.
        name: name for history and progress.
        sample_code: whether the decoder receives a sample from the posterior; otherwise it receives the point.
        validate: whether a validation score is taken, so that the epochs of this phase can be the best ones.
        samples: number of samples of the code per row; more than one are used with importance weights.
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
    likelihood: Likelihood | None = None


# --- ranking ----------------------------------------------------------------------------------------------------------


@brief
@dataclass(frozen=True)
class Neighbours:
    """Results, best first; ties in ascending order of row. Row -1 and score -inf if there are fewer than k."""

    rows: Int64[Tensor, "batch k"]
    scores: Float[Tensor, "batch k"]


@runtime_checkable
class Ranker(Protocol):
    """Scores all columns for a row of inputs: an autoencoder, a linear model, a blend. Tasks use only this."""

    @property
    def width(self) -> int:
        """Number of columns that are ranked."""

    def prepare(self, inputs: Tensors) -> Any:
        """The state that is computed once for some rows (bags of columns, or ordered sequences of them) before their
        columns are scored in blocks. Inputs that a ranker cannot use raise a ``SettingError``."""

    def scores(self, state: Any, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Higher is better. A new tensor, which the caller may overwrite."""


@runtime_checkable
class LinearRanker(Ranker, Protocol):
    """scores = x B. The contributions to the score of a column can be read from B."""

    def weights_for(self, column: int) -> Float[Tensor, " width"]:
        """A column of B."""


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
    """The result of a builder: a network or matrix and the way to fit it. Only ``model.state_dict()`` and the builder's
    name and keywords are saved; they suffice to rebuild it."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def chooses_epoch(self) -> bool:
        """Whether a validation score chooses the epoch. If not, the held-out rows should afterwards be used in a final
        fit."""

    def fit(self, source: Source, run: Any, validation: Any = None) -> Any:
        """Fit ``model`` in place and return the history."""


Builder = Callable[..., Recipe]
"""``(signal, *, generator, **settings) -> Recipe``: settings of parts under a published name. Every setting is a JSON
value with a default; the docstring names the paper."""

Command = Callable[..., None]
"""An annotated function that typer turns into a command; ``fit`` and ``demo`` create bundles."""


@runtime_checkable
class Face(Protocol):
    """The class of a domain that users work with. ``load`` raises a ``BundleError`` for bundles of other classes."""

    def save(self, path: str | Path, /) -> None: ...
    @classmethod
    def load(cls, path: str | Path, /) -> Face: ...


if TYPE_CHECKING:
    AdapterClass = type[Adapter]
else:
    # Python has no issubclass for a protocol with a property, and the tests execute annotations.
    AdapterClass = type


@dataclass(frozen=True)
class Plugin:
    """The object behind an entry point of the group ``isthmus.adapters``.

    Attributes:
        adapter: the class that turns records into tensors.
        builders: the models for this domain, by Python name.
        commands: the commands of the command line, by name.
        faces: the faces, by class name; ``isthmus.load`` opens bundles as one of them.
        face_for: if there are several faces, ``(builder, facts) -> name`` of the one that saved a bundle.
        serving: what a face offers over HTTP and to agents; imports what that needs when it is called.
    """

    adapter: AdapterClass
    builders: Mapping[str, Builder] = field(default_factory=dict)
    commands: Mapping[str, Command] = field(default_factory=dict)
    faces: Mapping[str, type[Face]] = field(default_factory=dict)
    face_for: Callable[[str, Mapping[str, Any]], str] | None = None
    serving: Callable[[Any], Offer] | None = None
