"""The engine that processes parts in several processes of this machine."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from isthmus.jobs.part import Part
from isthmus.jobs.work import Outcome, Question, Told, answered
from isthmus.machine.processes import usable_cores

AHEAD = 2
"""Number of parts queued per process, so that none waits and little is lost by Ctrl-C."""


def processes(question: Question, parts: Sequence[Part], workers: int | None, told: Told) -> None:
    """Process parts in several processes of this machine; with one worker, in this process.

    Args:
        question: the bundle, task and options.
        parts: the parts to process.
        workers: number of processes; None for one per core, but not more than parts. Each has its share of the cores.
        told: receives the outcome of each part.
    """
    cores = usable_cores()
    count = min(workers or cores, len(parts))
    if count <= 1:
        for part in parts:
            told(answered(question, part))
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(max(1, cores // count),))
    try:
        _hand_out(pool, question, list(parts), count, told)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _hand_out(pool: ProcessPoolExecutor, question: Question, waiting: list[Part], count: int, told: Told) -> None:
    waiting.reverse()
    running: dict[Future[Outcome], Part] = {}
    while waiting or running:
        while waiting and len(running) < AHEAD * count:
            part = waiting.pop()
            running[pool.submit(answered, question, part)] = part
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            part = running.pop(future)
            try:
                told(future.result())
            except BrokenProcessPool:
                told(Outcome(part, failed="a process was killed, perhaps for want of memory: try fewer workers"))
                for left in (*running.values(), *waiting):
                    told(Outcome(left, failed="not begun, as a process was killed"))
                return


def _begin(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
