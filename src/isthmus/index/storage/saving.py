"""An index as numbers and JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from isthmus.bundle.bundle import as_damage
from isthmus.errors import BundleError
from isthmus.index.build import dead_rows, vocabulary_of
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import FaissSearcher, Settings, check_kind
from isthmus.index.faiss import Kind as FaissKind
from isthmus.index.segment import Part
from isthmus.index.snapshot import Snapshot
from isthmus.index.storage import tensors as storage
from isthmus.index.storage.tensors import Verify
from isthmus.index.tuning.budget import Budget
from isthmus.index.tuning.trials import Choice, Trial, Wish
from isthmus.index.vectors import Metric, check_metric

Opened = tuple[Snapshot, Choice, Wish]


def told(snapshot: Snapshot, choice: Choice, wish: Wish) -> dict[str, Any]:
    """What an index is, as JSON values."""
    size = 4 * snapshot.width * (snapshot.frozen + snapshot.added)
    searcher = choice.searcher
    return {
        "rows": len(snapshot),
        "width": snapshot.width,
        "metric": snapshot.metric,
        "ids": snapshot.kind,
        "kind": choice.kind,
        "settings": {} if searcher is None else asdict(searcher.settings),
        "recall": choice.recall,
        "target_recall": wish.target_recall,
        "k": wish.k,
        "reason": choice.reason,
        "bytes": size + (0 if searcher is None else searcher.nbytes),
        "frozen": snapshot.frozen,
        "gone": snapshot.gone,
        "added": snapshot.added,
        "trials": [asdict(trial) for trial in choice.trials],
    }


def save(directory: str | Path, snapshot: Snapshot, choice: Choice, wish: Wish) -> None:
    """Write an index as it is: frozen part, what is gone and what came later."""
    settings = {
        "metric": snapshot.metric,
        "width": snapshot.width,
        "ids": snapshot.kind,
        "kind": choice.kind,
        "index": {} if choice.searcher is None else asdict(choice.searcher.settings),
        "wish": asdict(wish),
    }
    facts = {
        "recall": choice.recall,
        "reason": choice.reason,
        "trials": [asdict(trial) for trial in choice.trials],
        "rows": len(snapshot),
    }
    tensors = {"width": torch.tensor([snapshot.width])}
    for name, part in (("base", snapshot.base), ("later", snapshot.later)):
        if part is not None:
            tensors[f"{name}.vectors"] = part.vectors.contiguous()
            tensors |= {f"{name}.{key}": value for key, value in storage.packed(part.vocabulary).items()}
    if snapshot.dead is not None:
        tensors["dead"] = snapshot.dead.nonzero()[:, 0].contiguous()
    structure = {} if choice.searcher is None else choice.searcher.structure
    storage.write(directory, settings, facts, tensors, structure)


def load(directory: str | Path, verify: Verify, mmap: bool) -> Opened:
    """The inverse of ``save``.

    Raises:
        SettingError: another word for ``verify``.
        BundleError: no index there, or one that is truncated, altered, foreign or too new.
    """
    stored = storage.read(directory, verify, mmap)
    with as_damage(directory):
        said, facts = stored.manifest.settings, stored.manifest.facts
        metric, width, kind = said["metric"], _whole(said["width"]), said["ids"]
        check_metric(metric)
        if kind not in ("int64", "string"):
            raise BundleError(f"ids of type {kind!r}", expected="int64 or string")
        wish = _wish(said["wish"])
        choice = Choice(str(said["kind"]), None, float(facts["recall"]), str(facts["reason"]), _trials(facts))
        base, later = (_part(stored.tensors, name, width, metric, verify == "full") for name in ("base", "later"))
        if base is not None and choice.kind != "exact":
            base, choice = _approximate(base, choice, said["index"], stored.structure)
        dead = _dead(stored.tensors.get("dead"), base)
        snapshot = Snapshot(metric, width, kind, base, dead, later)
        _check_ids(snapshot)
        if len(snapshot) != facts["rows"]:
            raise BundleError(f"it lacks rows: {len(snapshot)}", expected=f"{facts['rows']}", remedy="save it again")
    return snapshot, choice, wish


def _part(tensors: Mapping[str, Tensor], name: str, width: int, metric: Metric, numbers: bool) -> Part | None:
    vectors = tensors.get(f"{name}.vectors")
    if vectors is None:
        return None
    if vectors.dtype != torch.float32 or vectors.ndim != 2 or not len(vectors) or vectors.shape[1] != width:
        raise BundleError(
            f"{name} vectors of {vectors.dtype} {list(vectors.shape)}", expected=f"float32 [rows, {width}]"
        )
    if numbers and not bool(vectors.isfinite().all()):
        raise BundleError(f"{name} vectors hold NaN or infinity", expected="finite numbers")
    ids = vocabulary_of(storage.unpacked(tensors, f"{name}."), len(vectors))
    if len(ids) != len(vectors):
        raise BundleError(f"{len(ids)} ids for {len(vectors)} vectors", expected="one id for each")
    return Part(vectors, ids, metric)


def _approximate(base: Part, choice: Choice, said: Any, known: storage.Structure | None) -> tuple[Part, Choice]:
    check_kind(choice.kind)
    # FAISS takes what it is given: numbers that are none would end in places that do not exist.
    if not bool(base.vectors.isfinite().all()):
        raise BundleError("base vectors hold NaN or infinity", expected="finite numbers")
    given = {str(name): _whole(value) for name, value in said.items()}
    settings = Settings.checked(len(base), **given)
    exact = ExactSearcher.over(base.vectors, base.metric)
    searcher = FaissSearcher.over(exact, cast(FaissKind, choice.kind), settings, known)
    made = Choice(choice.kind, searcher, choice.recall, choice.reason, choice.trials)
    return Part(base.vectors, base.vocabulary, base.metric, searcher, exact), made


def _dead(rows: Tensor | None, base: Part | None) -> Tensor | None:
    if rows is None:
        return None
    frozen = 0 if base is None else len(base)
    if (
        rows.dtype != torch.int64
        or rows.ndim != 1
        or (len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < frozen)
    ):
        raise BundleError("rows are gone that never were", remedy="save it again")
    return dead_rows(rows, frozen)


def _check_ids(snapshot: Snapshot) -> None:
    """No id is there twice, and all are of one type."""
    for part in (snapshot.base, snapshot.later):
        if part is not None and part.vocabulary.kind != snapshot.kind and len(snapshot):
            raise BundleError(f"ids of type {part.vocabulary.kind}", expected=snapshot.kind)
    if snapshot.later is None or snapshot.base is None:
        return
    rows, _ = snapshot.base.vocabulary.split(snapshot.later.vocabulary.take(range(snapshot.added)))
    alive = torch.ones(snapshot.frozen, dtype=torch.bool) if snapshot.dead is None else ~snapshot.dead
    if bool(alive[torch.from_numpy(rows)].any()):
        raise BundleError("an id is in the index twice", remedy="save it again")


def _wish(said: Any) -> Wish:
    budget = Budget(**{field.name: said["budget"][field.name] for field in fields(Budget)})
    names = ("kind", "target_recall", "k", "seed")
    return Wish(budget=budget, **{name: said[name] for name in names}).checked()


def _trials(facts: Mapping[str, Any]) -> tuple[Trial, ...]:
    return tuple(Trial(**{field.name: trial[field.name] for field in fields(Trial)}) for trial in facts["trials"])


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise BundleError(f"{value!r} in the manifest", expected="a whole number")
    return value
