"""The part ``generation`` of images.py: likelihoods, and distances of samples; with pythae's models beside ours."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.harness import Line
from benchmarks.images.common import CONV, SEED, Data, Work, run_of, trained
from benchmarks.images.generation import Binarised, Classifier, binarised, classifier, features
from benchmarks.processes import answered
from isthmus.metrics.images import frechet_distance
from isthmus.models.kinds import variational
from isthmus.tasks.coding import weighted_log_likelihoods
from isthmus_images import ImageAdapter, ImageAutoencoder
from isthmus_images.images import Images

IMPORTANCE, ASKED = 500, 1000
DRAWN = 5
"""Samples of an image in training, where the bound is importance weighted."""

SIZES = {"widths": [32, 64], "hidden": 256}
"""Of the layers of ``vanilla`` and ``variational`` over images, where nothing else is said."""


OURS: tuple[tuple[str, tuple[str, ...], Line], ...] = (
    ("variational", ("standard", "fitted"), {}),
    # Most pixels are black or nearly white. Chosen on held-out training images, where the distance of reconstructions
    # is a third of that with "gaussian".
    ("vanilla", ("fitted",), {"weight_decay": 1e-5, "likelihood": "bernoulli"}),
    ("contractive", ("fitted",), {}),
)
THEIRS = (("vae", "standard"), ("vae", "fitted"), ("rae_l2", "fitted"))


def generation(data: Data, epochs: int, rival_python: Path | None) -> Iterator[tuple[Line, Work]]:
    """NLL of black and white images; Fréchet distances of grey ones."""
    judge = Judge(data)
    for name, samples in (("vae", 1), ("iwae", DRAWN)):
        about = {"measure": "nll", "samples": IMPORTANCE, "code": 32, "epochs": epochs, "drawn": samples}
        yield {"method": "variational", **about}, partial(_nll, data, epochs, samples)
        if rival_python:
            yield {"method": f"pythae {name}", **about}, partial(_their_nll, data, epochs, name, rival_python)
    for model, priors, own in OURS:
        settings = {**CONV, "code": 16, "epochs": epochs, **own}
        fitted = cache(partial(ImageAutoencoder.fit, data.train, model, run=run_of(), **settings))
        for prior in priors:
            about = {"method": model, "measure": "frechet", "prior": prior, "settings": settings}
            yield about, partial(_distances, judge, fitted, prior)
    for name, prior in THEIRS if rival_python else ():
        job = {"model": name, "measure": "frechet", "prior": prior, "code": 16, "epochs": epochs}
        about = {"method": f"pythae {name}", "measure": "frechet", "prior": prior, "settings": _job(job)}
        yield about, partial(_their_distances, data, judge, job, rival_python)


class Judge:
    """Distances from the test images, in the features of a classifier that is trained when it is first asked."""

    def __init__(self, data: Data) -> None:
        self.data = data

    @cached_property
    def classifier(self) -> tuple[Classifier, float]:
        return classifier(self.data.train, self.data.test)

    @cached_property
    def _meant(self) -> npt.NDArray[np.float32]:
        return features(self.classifier[0], self.data.test.array())

    @cached_property
    def _of_training_images(self) -> float:
        return self._distance(self.data.train.select(np.arange(len(self.data.test))).array())

    def _distance(self, images: npt.NDArray[np.float32]) -> float:
        return frechet_distance(features(self.classifier[0], images), self._meant)

    def line(self, drawn: npt.NDArray[np.float32], back: npt.NDArray[np.float32]) -> Line:
        """Of samples and of reconstructions."""
        return {
            "frechet": self._distance(drawn),
            "frechet_of_reconstructions": self._distance(back),
            "frechet_of_training_images": self._of_training_images,
            "accuracy_of_the_classifier": self.classifier[1],
        }


def _distances(judge: Judge, fitted: Callable[[], ImageAutoencoder], prior: str) -> Line:
    model, test = fitted(), judge.data.test
    return {**judge.line(model.sample(len(test), seed=SEED, prior=prior), model.reconstruct(test)), **trained(model)}


def _nll(data: Data, epochs: int, drawn: int) -> Line:
    adapter, how = ImageAdapter.fit(data.train), run_of()
    settings = {**CONV, "code": 32, "likelihood": "bernoulli", "epochs": epochs, "samples": drawn}
    recipe = variational(adapter.signal, generator=how.generator(), **settings)
    chance = how.generator(how.torch_device(), stream=9)
    history = recipe.fit(Binarised(adapter.prepare(data.train), chance), how)
    asked = adapter.prepare(_asked(data))
    noise = torch.Generator(how.torch_device()).manual_seed(SEED)
    found = weighted_log_likelihoods(recipe.model.eval(), asked, samples=_importance(data), generator=noise)
    error = float(found.std() / len(found) ** 0.5)
    return {"nll": -float(found.mean()), "standard_error": error, "asked": len(found), "seconds": history.seconds}


def _their_nll(data: Data, epochs: int, name: str, python: Path) -> Line:
    job = {"model": name, "measure": "nll", "code": 32, "epochs": epochs, "importance": _importance(data)}
    asked = _asked(data)
    with tempfile.TemporaryDirectory() as folder:
        return {**_asked_of(python, Path(folder), job, data.train, asked), "asked": len(asked)}


def _their_distances(data: Data, judge: Judge, job: Line, python: Path) -> Line:
    with tempfile.TemporaryDirectory() as name:
        told = _asked_of(python, Path(name), job, data.train, data.test)
        drawn, back = (np.load(Path(name) / f"{part}.npy", allow_pickle=False) for part in ("samples", "back"))
    return {**judge.line(drawn, back), **told}


def _asked_of(python: Path, folder: Path, job: Line, train: Images, test: Images) -> Line:
    """What the rival's process reports."""
    np.save(folder / "train.npy", train.pixels)
    np.save(folder / "test.npy", test.pixels)
    (folder / "job.json").write_text(json.dumps(_job(job)), encoding="utf-8")
    answered(python, "pythae_images.py", folder, cwd=folder)
    report: Line = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def _job(job: Line) -> Line:
    return {**SIZES, "batch": CONV["batch_size"], "rate": CONV["learning_rate"], "samples": DRAWN, "seed": SEED, **job}


def _asked(data: Data) -> Images:
    return binarised(data.test.select(np.arange(min(ASKED, len(data.test)))), SEED)


def _importance(data: Data) -> int:
    return 10 if data.smoke else IMPORTANCE
