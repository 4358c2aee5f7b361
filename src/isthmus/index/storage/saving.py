"""Saves and loads indexes: converts snapshots, choices and requests to tensors and JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isthmus.bundle.bundle import as_damage
from isthmus.errors import BundleError, PluginError, SettingError
from isthmus.files import told_in
from isthmus.index.build import deletion_mask, vocabulary_of
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.kinds import IndexKind, Setting
from isthmus.index.registry import RESERVED, find
from isthmus.index.segment import Segment
from isthmus.index.snapshot import Snapshot
from isthmus.index.storage import tensors as storage
from isthmus.index.storage.tensors import Verify
from isthmus.index.tuning.budget import Budget
from isthmus.index.tuning.trials import ChosenIndex, IndexRequest, Trial
from isthmus.index.vectors import Metric, check_lengths, check_metric
from isthmus.vocabulary import KINDS

Opened = tuple[Snapshot, ChosenIndex, IndexRequest]


def described(snapshot: Snapshot, chosen: ChosenIndex, request: IndexRequest) -> dict[str, Any]:
    """What an index is, as JSON values.

    Args:
        snapshot: what the index holds.
        chosen: its kind and searcher.
        request: what was asked for when it was built.
    """
    size = 4 * snapshot.width * (snapshot.frozen + snapshot.added)
    searcher = chosen.searcher
    return {
        "rows": len(snapshot),
        "width": snapshot.width,
        "metric": snapshot.metric,
        "ids": snapshot.kind,
        "kind": chosen.kind,
        "settings": {} if searcher is None else dict(searcher.settings),
        "recall": chosen.recall,
        "target_recall": request.target_recall,
        "k": request.k,
        "reason": chosen.reason,
        "bytes": size + (0 if searcher is None else searcher.nbytes),
        "frozen": snapshot.frozen,
        "gone": snapshot.deleted_count,
        "added": snapshot.added,
        "trials": [_trial_document(trial) for trial in chosen.trials],
    }


def save(directory: str | Path, snapshot: Snapshot, chosen: ChosenIndex, request: IndexRequest) -> None:
    """Write an index: its frozen segment, deletions and later additions.

    Args:
        directory: path of the directory.
        snapshot: what the index holds.
        chosen: its kind and searcher.
        request: what was asked for when it was built.

    Raises:
        InputError: the path exists and is something else.
        OSError: it cannot be written.
    """
    settings = {
        "metric": snapshot.metric,
        "width": snapshot.width,
        "ids": snapshot.kind,
        "kind": chosen.kind,
        "index": {} if chosen.searcher is None else dict(chosen.searcher.settings),
        "wish": {**asdict(request), "written": request.written.said()},
    }
    facts = {
        "recall": chosen.recall,
        "reason": chosen.reason,
        "trials": [_trial_document(trial) for trial in chosen.trials],
        "rows": len(snapshot),
    }
    tensors = {"width": torch.tensor([snapshot.width])}
    for name, part in (("base", snapshot.base), ("later", snapshot.later)):
        if part is not None:
            tensors[f"{name}.vectors"] = part.vectors.contiguous()
            tensors |= {f"{name}.{key}": value for key, value in storage.packed(part.vocabulary).items()}
    if snapshot.deleted is not None:
        tensors["dead"] = snapshot.deleted.nonzero()[:, 0].contiguous()
    structure = {} if chosen.searcher is None else chosen.searcher.structure
    storage.write(directory, settings, facts, tensors, structure)


def load(directory: str | Path, verify: Verify, mmap: bool) -> Opened:
    """The inverse of ``save``.

    Args:
        directory: path of the directory.
        verify: "full" reads and hashes every byte; "header" checks sizes, names, types and shapes.
        mmap: leave the vectors on disk until they are used.

    Raises:
        SettingError: an invalid value of ``verify``.
        BundleError: no index at this path, or one that is truncated, altered, foreign or too new, or of unknown kind.
    """
    stored = storage.read(directory, verify, mmap)
    with as_damage(directory):
        settings, facts = stored.manifest.settings, stored.manifest.facts
        metric, width, kind = settings["metric"], _whole(settings["width"]), settings["ids"]
        check_metric(metric)
        if kind not in KINDS:
            raise BundleError(f"ids of type {kind!r}", expected=" or ".join(KINDS))
        request = _request(settings["wish"])
        trials = tuple(map(_trial, facts["trials"]))
        chosen = ChosenIndex(str(settings["kind"]), None, float(facts["recall"]), str(facts["reason"]), trials)
        base, later = (_segment(stored.tensors, name, width, metric, verify == "full") for name in ("base", "later"))
        if base is not None and chosen.kind != "exact":
            base, chosen = _approximate(base, chosen, settings["index"], stored.structure)
        deleted = _deletions(stored.tensors.get("dead"), base)
        snapshot = Snapshot(metric, width, kind, base, deleted, later)
        _check_ids(snapshot)
        if len(snapshot) != facts["rows"]:
            raise BundleError(f"{len(snapshot)} rows", expected=f"{facts['rows']}", remedy="save it again")
    return snapshot, chosen, request


def _segment(tensors: Mapping[str, Tensor], name: str, width: int, metric: Metric, numbers: bool) -> Segment | None:
    vectors = tensors.get(f"{name}.vectors")
    if vectors is None:
        return None
    if vectors.dtype != torch.float32 or vectors.ndim != 2 or not len(vectors) or vectors.shape[1] != width:
        raise BundleError(
            f"{name} vectors of {vectors.dtype} {list(vectors.shape)}", expected=f"float32 [rows, {width}]"
        )
    if numbers and not bool(vectors.isfinite().all()):
        raise BundleError(f"{name} vectors hold NaN or infinity", expected="finite numbers")
    if numbers:
        check_lengths(vectors, metric)
    ids = vocabulary_of(storage.unpacked(tensors, f"{name}."), len(vectors))
    if len(ids) != len(vectors):
        raise BundleError(f"{len(ids)} ids for {len(vectors)} vectors", expected="one id for each")
    return Segment(vectors, ids, metric)


def _approximate(
    base: Segment, chosen: ChosenIndex, settings: Mapping[str, Setting], known: storage.Structure | None
) -> tuple[Segment, ChosenIndex]:
    # A kind does not check its input: NaN could lead to rows that do not exist.
    if not bool(base.vectors.isfinite().all()):
        raise BundleError("base vectors hold NaN or infinity", expected="finite numbers")
    check_lengths(base.vectors, base.metric)
    exact = ExactSearcher.over(base.vectors, base.metric)
    searcher = _known(chosen.kind).restore(exact, dict(settings), known)
    made = replace(chosen, searcher=searcher)
    return Segment(base.vectors, base.vocabulary, base.metric, searcher, exact), made


def _known(name: str) -> IndexKind:
    try:
        return find(name)
    except (SettingError, PluginError) as error:
        raise BundleError(
            f"an index of kind {name!r}, which is not known here: {error.given}",
            expected=error.expected,
            remedy="import or install what registers that kind (isthmus.index.registry), then load it again",
        ) from None


def _deletions(rows: Tensor | None, base: Segment | None) -> Tensor | None:
    if rows is None:
        return None
    frozen = 0 if base is None else len(base)
    if (
        rows.dtype != torch.int64
        or rows.ndim != 1
        or (len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < frozen)
    ):
        raise BundleError("deleted rows that do not exist", remedy="save it again")
    return deletion_mask(rows, frozen)


def _check_ids(snapshot: Snapshot) -> None:
    """Check that ids are unique and of one type."""
    for segment in (snapshot.base, snapshot.later):
        if segment is not None and segment.vocabulary.kind != snapshot.kind and len(snapshot):
            raise BundleError(f"ids of type {segment.vocabulary.kind}", expected=snapshot.kind)
    if snapshot.later is None or snapshot.base is None:
        return
    rows, _ = snapshot.base.vocabulary.split(snapshot.later.vocabulary.take(range(snapshot.added)))
    live = torch.ones(snapshot.frozen, dtype=torch.bool) if snapshot.deleted is None else ~snapshot.deleted
    if bool(live[torch.from_numpy(rows)].any()):
        raise BundleError("an id is in the index twice", remedy="save it again")


def _request(saved: Any) -> IndexRequest:
    limits = saved["budget"]
    budget = Budget(limits["seconds"], limits["bytes"], limits["build_seconds"])
    if saved["kind"] not in RESERVED:
        _known(saved["kind"])
    column = saved.get("id_column")
    if column is not None and not isinstance(column, str):
        raise BundleError(f"{column!r} in the manifest", expected="the name of a column")
    written = told_in(saved.get("written", {}))
    wish = IndexRequest(saved["kind"], saved["target_recall"], saved["k"], budget, saved["seed"], column, written)
    return wish.checked()


def _trial_document(trial: Trial) -> dict[str, Any]:
    return {**asdict(trial), "settings": dict(trial.settings)}


def _trial(saved: Any) -> Trial:
    return Trial(
        kind=saved["kind"],
        settings=saved["settings"],
        recall=saved["recall"],
        queries_per_second=saved["queries_per_second"],
        seconds_a_query=saved["seconds_a_query"],
        bytes=saved["bytes"],
        build_seconds=saved["build_seconds"],
        outcome=saved["outcome"],
    )


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise BundleError(f"{value!r} in the manifest", expected="a whole number")
    return value
