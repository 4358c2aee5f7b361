"""Ray Train starts the processes of a training in several processes; isthmus does the rest.

    from isthmus.integrations.ray import fit

    fit("Recommender", "/shared/STORE", "mult-vae", "/shared/shop.bundle", workers=4, epochs=20)

It is the training of ``torchrun ... --shards rows``, on a cluster of Ray; with ``shard="batches"``, that of
``torchrun -m isthmus fit text``. Source, checkpoints and bundle lie in folders that all machines see.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from isthmus.disk import check_writable
from isthmus.errors import InputError, MissingLibraryError, SettingError, TrainingError
from isthmus.faces import find_face
from isthmus.machine.ray_here import LEAST, started

ENOUGH = 1
"""CPUs that stay free for Ray itself."""


def fit(
    face: str,
    source: str | Path,
    model: str,
    out: str | Path,
    *,
    workers: int = 2,
    gpu: bool = False,
    shard: str = "rows",
    **settings: Any,
) -> None:
    """Train with tables or batches divided over the workers of Ray Train, and save the bundle.

    A running Ray is used, or the one of ``RAY_ADDRESS``; otherwise one is started for this machine, bound to loopback.

    Args:
        face: whose ``fit`` is called in every worker, such as ``Recommender``.
        source: a file or a store that all workers can read.
        model: name of a builder.
        out: where the bundle goes, which the first worker writes.
        workers: processes of the training, a CPU each.
        gpu: a GPU for each, too. This has never been run.
        shard: what is divided, see ``isthmus.training.run.Run``.
        settings: further keywords of ``fit``, JSON values: ``epochs``, ``seed``, ``checkpoints``, ...

    Raises:
        SettingError: fewer than one worker, no such face, or settings that are not JSON.
        InputError: nothing may be written at ``out``.
        MissingLibraryError: Ray is not installed.
        TrainingError: a worker failed; the message is its own.
    """
    if workers < 1:
        raise SettingError(f"workers={workers}", expected="at least 1")
    if find_face(face) is None:
        raise SettingError(f"face {face!r}", expected="the name of a class with fit, such as 'Recommender'")
    check_writable(out)
    asked = {
        "face": face,
        "source": os.path.abspath(source),
        "model": model,
        "out": os.path.abspath(out),
        "shard": shard,
    }
    try:
        work = json.dumps({**asked, "settings": settings})
    except TypeError as error:
        raise SettingError(f"settings that are no JSON ({error})", expected="numbers, text, lists") from None
    with started(workers + ENOUGH) as ray:
        _train(ray, work, workers, gpu=gpu)
    if not Path(out).is_dir():
        raise InputError(f"{str(out)!r} was not written", remedy="give a folder that all workers see")


def _train(ray: Any, work: str, workers: int, *, gpu: bool) -> None:
    try:
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise MissingLibraryError("training on Ray needs Ray Train", remedy='pip install "isthmus[ray]"') from error
    if int(ray.cluster_resources().get("CPU", 0)) < max(LEAST, workers):
        raise SettingError(f"{workers} workers on {ray.cluster_resources().get('CPU', 0):.0f} CPUs", expected="fewer")
    with tempfile.TemporaryDirectory() as folder:
        trainer = TorchTrainer(
            _loop,
            train_loop_config={"work": work},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
            torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if gpu else "gloo"),
            run_config=RunConfig(storage_path=folder, name="isthmus"),
        )
        try:
            trainer.fit()
        except Exception as error:
            reason = str(error).strip().splitlines()
            raise TrainingError(f"a worker of Ray failed: {reason[-1] if reason else type(error).__name__}") from error


def _loop(config: dict[str, Any]) -> None:
    """What every worker does."""
    work = json.loads(config["work"])
    face = find_face(work["face"])
    assert face is not None
    fitting: Any = face
    fitted = fitting.fit(work["source"], work["model"], shard=work["shard"], progress=False, **work["settings"])
    fitted.save(work["out"])
