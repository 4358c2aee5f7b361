"""Every public object shows itself in at most three short lines, and none of its data.

Two things are asked of each class that some ``__all__`` names, and of each dataclass that is a field of one. Where the
repr is the one that ``@dataclass`` writes, fields hold nothing large; and where it is written by hand, an instance is
made here and shown. So a new class that is forgotten fails by its name.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, get_origin

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_array

import isthmus.bundle
from isthmus import fitted, reprs
from isthmus.core import SampledCategorical
from isthmus.fitted import CodeEvaluation, Gallery
from isthmus.index import Index, ShardedIndex
from isthmus.models import describe
from isthmus.protocols import Hook, Phase
from isthmus.tasks.evaluation import Evaluation
from isthmus.training.history import History
from isthmus.vocabulary import Vocabulary
from isthmus_images import ImageAutoencoder, Images
from isthmus_interactions import FoldIn, Interactions, InteractionStore, OrderedHistories, Recommender, TuningResult
from isthmus_interactions.report.report import QualityReport
from isthmus_text import TextAutoencoder, Texts
from isthmus_vectors import Compressor, Detector, VectorAutoencoder, Vectors

LINES, CHARACTERS = 3, 300

SMALL = {"int", "float", "str", "bool", "None", "Literal", "Path", "torch.device"}
"""Types of fields that a generated repr may show."""

PACKAGES = ("isthmus", "isthmus_images", "isthmus_interactions", "isthmus_text", "isthmus_vectors")


@cache
def public() -> tuple[type, ...]:
    """Classes that some ``__all__`` names, and the dataclasses of their fields, and of theirs."""
    found = dict.fromkeys(named())
    waiting = list(found)
    while waiting:
        for other in field_types(waiting.pop()):
            if other not in found:
                found[other] = None
                waiting.append(other)
    return tuple(kind for kind in found if not issubclass(kind, Exception | torch.nn.Module))


def named() -> Iterator[type]:
    for package in map(importlib.import_module, PACKAGES):
        inside = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        for module in [package, *(importlib.import_module(one.name) for one in inside)]:
            values = (getattr(module, name) for name in getattr(module, "__all__", ()))
            yield from (value for value in values if inspect.isclass(value))


def field_types(kind: type) -> Iterator[type]:
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    for value in (resolved(kind, name) for field in fields for name in words(field)):
        if isinstance(value, type) and value.__module__.startswith("isthmus"):
            yield value


def words(field: dataclasses.Field[Any]) -> list[str]:
    """The names in the annotation of a field; not those in quotation marks, which are axes and choices."""
    return re.findall(r"[A-Za-z_][\w.]*", re.sub(r"'[^']*'|\"[^\"]*\"", "", str(field.type)))


def resolved(kind: type, name: str) -> Any:
    value: Any = sys.modules[kind.__module__]
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def is_generated(kind: type) -> bool:
    """Whether ``@dataclass`` wrote the repr."""
    own = vars(kind).get("__repr__")
    return dataclasses.is_dataclass(kind) and kind.__dataclass_params__.repr and own is not vars(reprs)["_of_fields"]


def large(kind: Any) -> list[str]:
    """Fields that may be too large for a generated repr."""

    def is_small(name: str) -> bool:
        value = resolved(kind, name)
        nested = isinstance(value, type) and dataclasses.is_dataclass(value)
        return name in SMALL or nested or get_origin(value) is Literal

    if kind in (Hook, Phase):  # functions and names of parts, which are few
        return []
    return [field.name for field in dataclasses.fields(kind) if field.repr and not all(map(is_small, words(field)))]


def test_no_generated_repr_shows_anything_large() -> None:
    offenders = {f"{kind.__module__}.{kind.__name__}": large(kind) for kind in public() if is_generated(kind)}
    assert {name: fields for name, fields in offenders.items() if fields} == {}, "decorate it with isthmus.reprs.brief"


def test_the_rule_finds_an_offender() -> None:
    @dataclasses.dataclass
    class Fresh:
        names: list[str]
        count: int | None

    assert is_generated(Fresh)
    assert large(Fresh) == ["names"]
    assert not is_generated(reprs.brief(Fresh))


@cache
def roots() -> tuple[object, ...]:
    """One of each sort of object that users hold; the rest is found in their fields."""
    matrix = csr_array(np.eye(60, 30, dtype=np.float32) + np.eye(60, 30, -30, dtype=np.float32))
    data = Interactions.from_csr(matrix, items=[f"{'long ' * 99}{row}\n" for row in range(30)])
    test = Interactions.from_csr(csr_array(np.ones((9, 6), np.float32)), items=list(data.items.ids[:6]))
    ordered = OrderedHistories(np.array([0, 2]), np.array([0, 1], np.int32))
    rows = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    recommender = Recommender.fit(data, "ease", titles={str(data.items.ids[0]): "T" * 999}, progress=False)
    table = VectorAutoencoder.fit(rows, "vanilla", code=2, epochs=1, progress=False)
    measured = Evaluation({f"m@{k}": 0.5 for k in range(99)}, {"m@0": 0.1}, {}, torch.arange(9), 1)
    search = Index.build(rows, [f"{row}" * 99 for row in range(300)]).search(rows[:9], 9)
    return (
        *(data, CodeEvaluation(1, 0.1, 0.2, 0.3, None, None, 0, standard_errors={"nll": 0.1}), fitted.Evaluation()),
        *(
            recommender,
            recommender.recommend([[]], 9),
            recommender.recommend([[]], 9)[0],
            measured,
            TuningResult("ease", "ndcg@100", {}, ()),
            recommender.report(test, samples=9),
        ),
        *(FoldIn(matrix, matrix, list(range(60)), ordered), Texts.read(["a\n" * 999] * 9), Vectors.read(rows)),
        *(Images.read(np.zeros((3, 8, 8), np.uint8)), Gallery(torch.zeros(9, 2), ["a\n" * 999] * 9), Vocabulary([1])),
        *(table, table.evaluate(rows), table.search(rows[:2], 2)[0], search, search[0]),
        *(Index.build(rows), History([{"epoch": 1, "seconds": 1.0}] * 999, "ndcg@100", 7, 0.5, stopped_early=True)),
        *(describe("mult-vae"), SampledCategorical(999, 9)),
        *(Detector.fit(rows, epochs=1, progress=False), Compressor.fit(rows, 2, epochs=1, progress=False)),
    )


def reached() -> dict[type, object]:
    """An object of each class that the roots hold."""
    found: dict[type, object] = {}
    waiting = list(roots())
    while waiting:
        value = waiting.pop()
        if not type(value).__module__.startswith("isthmus") or type(value) in found:
            continue
        found[type(value)] = value
        fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        waiting += [getattr(value, field.name) for field in fields]
        waiting.append(getattr(value, "fitted", None))
    return found


ELSEWHERE = {
    "TextAutoencoder",
    "ImageAutoencoder",
    "TextEvaluation",
    "ImageEvaluation",
    "Tokenizer",
    "Bundle",
    "Manifest",
    "InteractionStore",
    "ShardedIndex",
}
"""Shown by the slow test below, as texts and images have to be trained on."""


def by_hand(kind: type) -> bool:
    plain = not getattr(kind, "_is_protocol", False) and not inspect.isabstract(kind) and not issubclass(kind, tuple)
    own = kind.__repr__ is not object.__repr__ and kind.__repr__ is not vars(reprs)["_of_fields"]
    return plain and own and not is_generated(kind) and kind.__module__.startswith("isthmus") and not foreign(kind)


def foreign(kind: type) -> bool:
    """Whether the repr is another library's: those of estimators and of embedders are what their users expect."""
    return not next(base for base in kind.__mro__ if "__repr__" in vars(base)).__module__.startswith("isthmus")


def check(value: object) -> None:
    text = repr(value)
    assert len(text.splitlines()) <= LINES, text
    assert len(text) < CHARACTERS, text
    assert type(value).__repr__ is object.__repr__ or " object at 0x" not in text


def test_each_repr_written_by_hand_is_short() -> None:
    found = reached()
    missing = {kind.__name__ for kind in public() if by_hand(kind) and kind not in found}
    assert missing - ELSEWHERE == set(), "make one in roots()"
    for value in found.values():
        if not isinstance(value, torch.nn.Module):
            check(value)


def test_what_is_shown_is_what_matters() -> None:
    texts = {type(value).__name__: repr(value) for value in reached().values()}
    assert texts["Recommender"] == "<Recommender ease: 60 users, 30 items, trained on 60 interactions>"
    assert texts["VectorAutoencoder"].startswith("<VectorAutoencoder vanilla: codes of 2 numbers, trained on 300 rows")
    assert texts["Index"] == "<Index: 300 vectors of 8 numbers, exact, ip>"
    stopped = History([{"epoch": 1, "seconds": 1.0}] * 999, "ndcg@100", 7, 0.5, stopped_early=True)
    assert repr(stopped) == "<History: 999 epochs, best ndcg@100 0.5 in epoch 7, stopped early>"
    assert texts["Vectors"] == "<Vectors: 300 rows of 8 numbers>"
    assert texts["Images"] == "<Images: 3 images of 8×8 grey>"
    assert texts["Compressor"] == "<Compressor: vectors of 8 numbers in 2 bytes>"


def test_notebooks_show_escaped_html_with_curves() -> None:
    history = History([{"epoch": n, "seconds": 1.0, "loss": 3.0 - n, "<m>": 0.1 * n} for n in (1, 2)], "<m>", 2, 0.2)
    page = history._repr_html_()
    assert page.count("<svg") == 2
    assert "<m>" not in page
    assert "&lt;m&gt;" in page
    for value in reached().values():
        if hasattr(value, "_repr_html_"):
            # A report is a page with pictures.
            assert len(value._repr_html_()) < (200_000 if isinstance(value, QualityReport) else 40_000)


def test_figures_of_an_evaluation_are_a_table() -> None:
    measured = Evaluation({"recall@5": 0.5, "coverage@5": 0.25}, {"recall@5": 0.1}, {}, torch.arange(9), 1)
    rows = [
        {"metric": "recall@5", "mean": 0.5, "standard_error": 0.1, "users": 9, "seen": "masked"},
        {"metric": "coverage@5", "mean": 0.25, "standard_error": None, "users": 9, "seen": "masked"},
    ]
    assert pa.table(measured).to_pylist() == rows
    assert measured.to_pandas().shape == (2, 5)
    many = Evaluation({f"m@{k}": 0.5 for k in range(99)}, {}, {}, torch.arange(9), 1)
    assert repr(many).endswith("m@3 0.5000, 95 more, over 9 users>")
    assert repr(measured) == "<Evaluation: recall@5 0.5000 ± 0.1000, coverage@5 0.2500, over 9 users>"
    assert "1 had no held-out items" in measured._repr_html_()


@pytest.mark.slow
def test_texts_images_and_bundles_are_short_too(tmp_path: Any) -> None:
    sentences = [f"the number {number} is here" for number in range(60)]
    text = TextAutoencoder.fit(sentences, "vanilla", code=4, epochs=1, progress=False)
    pictures = np.random.default_rng(0).integers(0, 255, (40, 8, 8)).astype(np.uint8)
    image = ImageAutoencoder.fit(pictures, "vanilla", code=4, epochs=1, progress=False)
    image.save(tmp_path / "b")
    bundle = isthmus.bundle.read(tmp_path / "b")
    shown = [text, text.evaluate(sentences), text.adapter, text.adapter.input, text.adapter.input.tokenizer, bundle]
    events = pa.table({"user": ["a\n" * 99] * 9, "item": range(9)})
    store = InteractionStore.create(events, tmp_path / "s")
    index = ShardedIndex.build(np.eye(40, 8, dtype=np.float32), tmp_path / "i", shards=2)
    shown += [store, store.manifest, index]
    for value in (*shown, image, image.evaluate(pictures), bundle.manifest, text.fitted, image.fitted):
        check(value)
    assert str(datetime.now(UTC).year)[:2] in repr(bundle.manifest)
    assert {type(value).__name__ for value in (*shown, image, image.evaluate(pictures), bundle.manifest)} >= ELSEWHERE
