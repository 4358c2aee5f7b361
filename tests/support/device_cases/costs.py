"""What training costs on the pretend device: launches, and moments at which the host waits."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pretend_device
import torch
from scipy.sparse import csr_array

from device_cases import autoencoders, recommenders
from isthmus import models
from isthmus.batch import Bag
from isthmus.core.ops import softmax
from isthmus.machine.unasked import distinct
from isthmus.sources import BagSource
from isthmus.training.checkpoint import CheckpointStore
from isthmus.training.run import Run

NAME, ACCOUNT = pretend_device.NAME, pretend_device.ACCOUNT
ROWS, WIDTH = 100, 60


def waits_of_an_epoch(domain: str, builder: str) -> dict[str, int]:
    """Why the host waits in an epoch of one or two steps, without validation; what only happens once is left out."""

    def train(epochs: int) -> None:
        if domain == "recommender":
            recommenders.fitted(builder, NAME, epochs=epochs, validation=0.0)
        else:
            autoencoders.FITS[domain](builder, NAME, epochs=epochs, validation=0.0)

    return _more(train, 1)[1]


def bags(rows: int = ROWS) -> BagSource:
    draws = np.random.default_rng(0).random((rows, WIDTH)) < 0.1
    draws[:, 0] = True
    return BagSource.from_csr(csr_array(draws.astype(np.float32)))


def of_a_step(builder: str, precision: str, settings: dict[str, Any], rows: int = ROWS) -> dict[str, Any]:
    """Launches a step, and waits of an epoch; batches have 10 rows."""
    source = bags(rows)

    def train(epochs: int) -> None:
        generator = torch.Generator().manual_seed(0)
        recipe = getattr(models, builder)(Bag(WIDTH), generator=generator, epochs=epochs, batch_size=10, **settings)
        recipe.fit(source, Run(device=NAME, precision=precision))

    launches, waits = _more(train, 1)
    return {"launches": launches / (rows / 10), "waits": waits}


def of_a_softmax_in_chunks() -> dict[str, Any]:
    """A softmax over several chunks of columns, on both devices."""
    generator = torch.Generator().manual_seed(0)
    decoded, weight = torch.randn(20, 4, generator=generator), torch.randn(WIDTH, 4, generator=generator)
    found, bias = [], torch.randn(WIDTH, generator=generator)
    for device in ("cpu", NAME):
        # Rows on the CPU, so that the host knows how many entries they have.
        batch = bags(20).to(torch.device(device)).batch(torch.arange(20))
        sides = [tensor.detach().to(device).requires_grad_() for tensor in (decoded, weight, bias)]
        ACCOUNT.reset()
        log_prob = softmax.multinomial_log_prob(*sides, batch.targets, chunk_bytes=20 * 4 * 16)
        log_prob.sum().backward()
        waits = _named(ACCOUNT.waits)
        gradients = [side.grad for side in sides]
        found.append([log_prob.detach().cpu().tolist(), *(gradient.cpu().tolist() for gradient in gradients)])
    return {"waits": waits, "same": [bool(np.allclose(a, b, atol=1e-4)) for a, b in zip(*found, strict=True)]}


def _more(train: Callable[[int], None], epochs: int) -> tuple[int, dict[str, int]]:
    """What one more epoch costs."""
    accounts: list[tuple[int, Counter[tuple[str, str]]]] = []
    for some in (epochs, epochs + 1):
        ACCOUNT.reset()
        train(some)
        accounts.append((ACCOUNT.launches, ACCOUNT.waits.copy()))
    (first, early), (last, late) = accounts
    return last - first, _named(late - early)


def _named(waits: Counter[tuple[str, str]]) -> dict[str, int]:
    return {f"{kind} at {place}": count for (kind, place), count in waits.items()}


def distinct_items() -> dict[str, Any]:
    """What ``distinct`` says of the same values on both devices."""
    values = torch.tensor([5, 3, 3, 9, 5, 0])
    here, places = distinct(values)
    ACCOUNT.reset()
    there, places_there = distinct(values.to(NAME, non_blocking=True))
    return {
        "waits": _named(ACCOUNT.waits),
        "here": here.tolist(),
        "there": there.cpu().tolist(),
        "same places": bool(torch.equal(places, places_there.cpu())),
    }


def best_weights() -> dict[str, Any]:
    """How often the best weights are written, and whether those that a training ends with are the best."""
    written: list[int] = []
    keep = CheckpointStore.keep_best

    def counted(store: CheckpointStore, epoch: int, tensors: Mapping[str, torch.Tensor]) -> None:
        written.append(epoch)
        keep(store, epoch, tensors)

    CheckpointStore.keep_best = counted  # type: ignore[method-assign]
    found: dict[str, Any] = {}
    for name, device, checkpoints in (("cpu", "cpu", False), ("memory", NAME, False), ("checkpoints", NAME, True)):
        written.clear()
        with tempfile.TemporaryDirectory() as place:
            run = Run(device=device, precision="fp32", checkpoints=Path(place) if checkpoints else None, every=3)
            face = recommenders.fitted("mult-vae", device, epochs=6, learning_rate=0.02, run=run)
            stored = len(list(Path(place).glob("best-*")))
        found[name] = {"times": len(written), "best": face.history.best_epoch, "stored": stored}
        found[name]["scores"] = face.score([[0, 4, 8]], [1, 2, 3]).tolist()
    return found
