"""What the rivals of ``recommendation_rivals`` share in their own environments; NumPy and SciPy only.

A job is a folder: ``job.json``, ``train.npz`` (people × items), ``history.npz`` of those asked about, ``people.npy``
(their rows in ``train``, -1 for strangers) and, while settings are chosen, ``held_out.npz``. The answer is
``ranking.npy``, the best items of each person without those of the history, and ``report.json``.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, load_npz

Score = Callable[[csr_matrix, np.ndarray], np.ndarray]
"""Histories and rows in the training matrix of a few people, to a score for every item."""

BLOCK = 500
LIBRARIES = ("recbole", "cornac", "implicit", "torch", "numpy", "scipy")


@dataclass(frozen=True)
class Job:
    """``model`` and its ``settings``; ``epochs``, ``patience`` (in evaluations) and ``minutes`` (of the processor)
    limit training; ``metric`` is what to stop early by, where there is something held out."""

    folder: Path
    model: str
    settings: dict[str, Any]
    seed: int
    k: int
    epochs: int
    every: int
    patience: int
    minutes: float
    metric: str
    train: csr_matrix
    history: csr_matrix
    people: np.ndarray
    held_out: csr_matrix | None


class Watch:
    """Counts epochs, keeps the ranking of the best one and says when to stop."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.start, self.processor = time.perf_counter(), time.process_time()
        self.epoch, self.best_epoch, self.best = 0, 0, -1.0
        self.ranking: np.ndarray | None = None
        self.stopped_by = "end"

    def epochs(self, score: Score) -> Iterator[int]:
        """Numbers from 1; what is done with one is an epoch, looked at before the next."""
        while True:
            yield self.epoch + 1
            if self.done(score):
                return

    def done(self, score: Score) -> bool:
        """After an epoch: is that enough?"""
        self.epoch += 1
        job = self.job
        if job.held_out is not None and self.epoch % job.every == 0:
            ranking = ranked(score, job)
            value = measure(ranking, job.held_out, job.metric)
            print(f"epoch {self.epoch}: {job.metric} {value:.4f}", file=sys.stderr, flush=True)
            if value > self.best:
                self.best, self.best_epoch, self.ranking = value, self.epoch, ranking
        late = time.process_time() - self.processor > 60 * job.minutes
        patient = job.held_out is None or self.epoch - self.best_epoch < job.patience * job.every
        reasons = {"epochs": self.epoch >= job.epochs, "clock": late, "patience": not patient}
        self.stopped_by = next((name for name, holds in reasons.items() if holds), "end")
        return any(reasons.values())


def run(fit: Callable[[Job, Watch], Score]) -> None:
    """Do the job that the first argument names."""
    job = _read(Path(sys.argv[1]))
    watch = Watch(job)
    score = fit(job, watch)
    seconds, processor = time.perf_counter() - watch.start, time.process_time() - watch.processor
    ranking = ranked(score, job) if watch.ranking is None else watch.ranking
    np.save(job.folder / "ranking.npy", ranking)
    report = {
        "fit_seconds": seconds,
        "cpu_seconds": processor,
        "epochs": watch.epoch,
        "best_epoch": watch.best_epoch,
        "stopped_by": watch.stopped_by,
        "rival_versions": versions(),
    }
    (job.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


def versions() -> dict[str, str]:
    """Of the libraries that are there."""
    found = {}
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def ranked(score: Score, job: Job) -> np.ndarray:
    """The k best items of each person, best first, seen ones left out; -1 where there are fewer."""
    count, width = job.history.shape
    k = min(job.k, width)
    result = np.full((count, job.k), -1, dtype=np.int64)
    for start in range(0, count, BLOCK):
        history = job.history[start : start + BLOCK]
        scores = np.array(score(history, job.people[start : start + BLOCK]), dtype=np.float32)
        scores[history.nonzero()] = -np.inf
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        best, values = np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)
        result[start : start + BLOCK, :k] = np.where(np.isfinite(values), best, -1)
    return result


def measure(ranking: np.ndarray, held_out: csr_matrix, metric: str) -> float:
    """The mean of recall@k, recall_capped@k or ndcg@k."""
    name, k = metric.split("@")
    k = int(k)
    ranking = ranking[:, :k]
    width, counts = held_out.shape[1], np.diff(held_out.indptr)
    owners = np.repeat(np.arange(len(counts)), counts)
    hits = np.isin(np.arange(len(counts))[:, None] * width + ranking, owners * width + held_out.indices)
    hits &= ranking >= 0
    if name == "ndcg":
        discounts = 1 / np.log2(np.arange(2, k + 2))
        ideal = np.cumsum(discounts)[np.minimum(counts, k) - 1]
        return float((hits @ discounts / ideal).mean())
    return float((hits.sum(1) / (np.minimum(counts, k) if name == "recall_capped" else counts)).mean())


def spread(scores: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
    """Scores of some columns among all; the others can never be answered."""
    whole = np.full((len(scores), width), -np.inf, dtype=np.float32)
    whole[:, columns] = scores
    return whole


def _read(folder: Path) -> Job:
    told = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    held_out = folder / "held_out.npz"
    return Job(
        folder,
        train=csr_matrix(load_npz(folder / "train.npz")),
        history=csr_matrix(load_npz(folder / "history.npz")),
        people=np.load(folder / "people.npy"),
        held_out=csr_matrix(load_npz(held_out)) if held_out.exists() else None,
        **told,
    )
