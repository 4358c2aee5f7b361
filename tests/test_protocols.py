"""Parts fulfil their protocols on every Python: what ``isinstance`` asks for, ``inspect.getattr_static`` finds.

From Python 3.12 on, ``isinstance`` looks the members of a protocol up without ``__getattr__``, where the parameters,
buffers and submodules of a module come from. So nothing in the library may depend on it, and no protocol may ask it
for what a module holds in that way.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from signals import SIGNALS, seeded, source_of
from torch import nn

from isthmus import protocols
from isthmus.batch import Bag, Bags, Tokens
from isthmus.capabilities import missing_members
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import BagEncoder
from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.rankers import AutoencoderRanker, Blend, is_linear, ranker_of
from isthmus.core.readouts import LinearReadout, ranks
from isthmus.errors import SettingError
from isthmus.index import Index
from isthmus.protocols import (
    Adapter,
    Bottleneck,
    Corruption,
    Decoder,
    Encoder,
    Face,
    Likelihood,
    LinearRanker,
    Model,
    Posterior,
    Prior,
    Ranker,
    RankingReadout,
    Readout,
    Recipe,
    Searcher,
    SequenceDecoder,
    Source,
)
from isthmus.tasks.similar import SimilarColumns

ROOT = Path(__file__).parent.parent
SOURCES = [path for folder in ("src", "adapters") for path in sorted((ROOT / folder).rglob("*.py"))]
PLUGINS = {"images": "grid", "interactions": "bag", "text": "tokens", "vectors": "vector"}
SETTINGS: dict[str, dict[str, Any]] = {"denoising_text": {"tied": False}}
"""Of builders that refuse the ten words of the small vocabulary here as they come."""

ALL = {
    name: found
    for name, found in vars(protocols).items()
    if inspect.isclass(found) and getattr(found, "_is_protocol", False) and found.__module__ == protocols.__name__
}
Claim = tuple[type, object]


def plugin_of(name: str) -> protocols.Plugin:
    plugin = importlib.import_module(f"isthmus_{name}.plugin").plugin
    assert isinstance(plugin, protocols.Plugin)
    return plugin


BUILDERS = [(name, builder) for name in PLUGINS for builder in plugin_of(name).builders]


@cache
def recipe_of(plugin: str, builder: str) -> Recipe:
    signal = SIGNALS[PLUGINS[plugin]]
    recipe: Recipe = plugin_of(plugin).builders[builder](signal, generator=seeded(), **SETTINGS.get(builder, {}))
    return recipe


def claims_of(recipe: Recipe) -> Iterator[Claim]:
    """What a recipe, its model and the parts of that are said to fulfil."""
    yield Recipe, recipe
    models = recipe.model.parts if isinstance(recipe.model, Blend) else [recipe.model]
    for model in models:
        if isinstance(model, Autoencoder):
            yield from parts_of(model)
        else:
            yield Ranker, model
        if not isinstance(model, Autoencoder) or ranks(model.readout):
            yield Ranker, ranker_of(model)
        if is_linear(model):
            yield LinearRanker, model


def parts_of(model: Autoencoder) -> Iterator[Claim]:
    yield Model, model
    yield Encoder, model.encoder
    yield Bottleneck, model.bottleneck
    yield Prior, model.prior
    yield Decoder, model.decoder
    yield Readout, model.readout
    yield Likelihood, model.likelihood
    if model.corruption is not None:
        yield Corruption, model.corruption
    if ranks(model.readout):
        yield RankingReadout, model.readout
    if hasattr(model.decoder, "advance"):
        yield SequenceDecoder, model.decoder


def posterior_of(model: Autoencoder, signal: str) -> Posterior | None:
    # A model of sequences is built for a bag of items, and reads them in order.
    signal = "tokens" if isinstance(getattr(model.encoder, "signal", None), Tokens) else signal
    with torch.no_grad():
        return model.encode(source_of(signal, 6).batch(torch.arange(3)).inputs, generator=seeded()).posterior


def unseen(protocol: type, part: object) -> list[str]:
    """Members that ``isinstance`` would not find on every Python."""
    lost = object()
    names = [name for name in dir(protocol) if not name.startswith("_") or name in ("__call__", "__len__")]
    return [name for name in names if inspect.getattr_static(part, name, lost) is lost]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_part_fulfils_its_protocol(plugin: str) -> None:
    claims = [claim for name, builder in BUILDERS if name == plugin for claim in claims_of(recipe_of(name, builder))]
    assert [(protocol.__name__, type(part).__name__) for protocol, part in claims if unseen(protocol, part)] == []
    assert all(isinstance(part, protocol) for protocol, part in claims)


def test_every_posterior_fulfils_its_protocol() -> None:
    models = [(plugin, recipe_of(plugin, builder).model) for plugin, builder in BUILDERS if builder not in SETTINGS]
    found = [posterior_of(made.eval(), PLUGINS[plugin]) for plugin, made in models if isinstance(made, Autoencoder)]
    posteriors = [posterior for posterior in found if posterior is not None]
    assert posteriors
    assert all(isinstance(posterior, Posterior) for posterior in posteriors)
    assert [type(posterior).__name__ for posterior in posteriors if unseen(Posterior, posterior)] == []


def test_every_face_fulfils_its_protocol() -> None:
    faces = [Index, *(face for name in PLUGINS for face in plugin_of(name).faces.values())]
    assert len(faces) > len(PLUGINS)
    assert [face.__name__ for face in faces if unseen(Face, face) or not issubclass(face, Face)] == []


def test_no_protocol_is_left_out() -> None:
    asked = {protocol for pair in BUILDERS for protocol, _ in claims_of(recipe_of(*pair))} | {Posterior}
    assert asked | {Adapter, Face, Searcher, Source} == set(ALL.values())


@pytest.mark.parametrize("protocol", [Adapter, LinearRanker, Ranker, RankingReadout, Searcher, Source])
def test_classes_hold_data_where_it_is_seen(protocol: type) -> None:
    """Every class that has the methods of a protocol has its data as properties, or as fields of a dataclass."""
    found = [kind for kind in classes() if claims(kind, protocol)]
    assert found, "no class fulfils this protocol"
    hidden = {
        f"{kind.__name__}.{name}"
        for kind in found
        for name in data_of(protocol)
        if not hasattr(kind, name) and name not in getattr(kind, "__dataclass_fields__", {})
    }
    assert not hidden


def classes() -> Iterator[type]:
    for path in SOURCES:
        module = importlib.import_module(module_of(path))
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == module.__name__ and kind not in ALL.values():
                yield kind


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def data_of(protocol: type) -> list[str]:
    return [name for name, member in inspect.getmembers(protocol) if isinstance(member, property)]


def claims(kind: type, protocol: type) -> bool:
    methods = [name for name in dir(protocol) if not name.startswith("_") and name not in data_of(protocol)]
    return not getattr(kind, "_is_protocol", False) and all(callable(getattr(kind, name, None)) for name in methods)


# --- nothing depends on isinstance ---


def test_nothing_asks_whether_a_part_is_an_instance_of_a_protocol() -> None:
    names = {
        node.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).split("[")[0] == "Protocol" for base in node.bases)
    }
    assert {*ALL} <= names | {"SequenceDecoder", "RankingReadout", "LinearRanker"}
    offenders = [f"{path.name}: {call}" for path in SOURCES for call in checks(path.read_text("utf-8"), names | {*ALL})]
    assert not offenders


def checks(text: str, names: set[str]) -> list[str]:
    """Calls of isinstance and issubclass with a class of such a name."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass")
        if {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)} & names
        or {part.attr for part in ast.walk(node.args[1]) if isinstance(part, ast.Attribute)} & names
    ]


@pytest.mark.parametrize(
    "text",
    ["isinstance(a, Ranker)", "isinstance(a, int | p.Ranker)", "issubclass(a, (B, Ranker))"],
)
def test_such_a_question_is_seen(text: str) -> None:
    assert checks(text, {"Ranker"}) == [text]


# --- what others wrote ---


class PlainReadout(nn.Module):
    """As ``adapters/README.md`` has it: rows and biases are parameters, and nothing is inherited."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, hidden, generator=seeded(1)))
        self.bias = nn.Parameter(torch.zeros(width))

    def logits(self, decoded: torch.Tensor, columns: Any = None) -> torch.Tensor:
        some = slice(None) if columns is None else columns
        return decoded @ self.weight[some].T + self.bias[some]

    def vectors(self) -> torch.Tensor:
        return torch.cat([self.weight, self.bias[:, None]], 1).detach()

    def queries(self, decoded: torch.Tensor) -> torch.Tensor:
        return torch.cat([decoded, decoded.new_ones(len(decoded), 1)], 1)


class Derived(PlainReadout, RankingReadout):
    """The same, but it says what it is."""


def model_with(readout: nn.Module) -> Autoencoder:
    return Autoencoder(
        encoder=BagEncoder(24, (5,), generator=seeded()),
        bottleneck=Deterministic(),
        decoder=DenseDecoder(5, generator=seeded()),
        readout=readout,  # type: ignore[arg-type]
        likelihood=Multinomial(),
    )


@pytest.mark.parametrize("kind", [PlainReadout, Derived])
def test_a_readout_of_parameters_ranks(kind: Any) -> None:
    readout = kind(5, 24)
    assert ranks(readout)
    assert isinstance(readout, RankingReadout)
    model = model_with(readout)
    ranker = ranker_of(model)
    inputs = source_of("bag", 8).batch(torch.arange(8)).inputs
    assert isinstance(inputs, Bags)
    scores = ranker.scores(ranker.prepare(inputs))
    assert (ranker.width, scores.shape) == (24, (8, 24))
    near = SimilarColumns(model).search(torch.tensor([3]), 2)
    rows = nn.functional.normalize(readout.weight, dim=1)
    assert near.rows.tolist() == [torch.mv(rows, rows[3]).sort(descending=True).indices[1:3].tolist()]
    step = model.step(source_of("bag", 8).batch(torch.arange(8)))
    assert bool(torch.isfinite(model.loss(step).total))


class WithoutRows(nn.Module):
    def logits(self, decoded: torch.Tensor, columns: Any = None) -> torch.Tensor:
        return decoded


@pytest.mark.parametrize("lost", ["weight", "bias"])
def test_what_lacks_a_member_does_not_rank(lost: str) -> None:
    readout = LinearReadout(5, 24, generator=seeded())
    delattr(readout, lost)
    for broken in (readout, WithoutRows()):
        assert not ranks(broken)
        with pytest.raises(SettingError, match="weight, bias, vectors and queries"):
            AutoencoderRanker(model_with(broken))
        with pytest.raises(SettingError, match="ranking readout"):
            SimilarColumns(model_with(broken))


class ByAttribute:
    """An adapter that takes its signal from another object."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)


def test_the_contract_asks_as_callers_do() -> None:
    class Whole:
        signal = Bag(3)
        read = fit = prepare = state = restore = len

    assert missing_members(ByAttribute(Whole()), Adapter) == []
    assert missing_members(ByAttribute(object()), Adapter) == ["fit", "prepare", "read", "restore", "signal", "state"]
