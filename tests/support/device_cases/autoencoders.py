"""Autoencoders of texts, images and vectors on the two devices: every builder, every verb."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import tiny_bert

from device_cases.comparing import Verb, table
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_text.autoencoder import TextAutoencoder
from isthmus_vectors.autoencoder import VectorAutoencoder

RUN = {"precision": "fp32", "progress": False, "validation": 0.2}

KINDS: Mapping[str, Mapping[str, Any]] = {
    "vanilla": {},
    "denoising": {},
    "sparse": {"code": 12, "k": 3},
    "contractive": {"weight": 0.001},
    "variational": {},
    "mixture": {"prior": "mixture", "components": 3},
    "pseudo-inputs": {"prior": "pseudo-inputs", "components": 3},
}
"""The shared kinds and their settings; the last ones are settings of ``variational`` and ``vanilla``."""

CALLED = {"mixture": "variational", "pseudo-inputs": "variational"}

SUBJECTS, VERBS = ("the cat", "a dog", "one bird"), ("sat", "ran", "sang")
PLACES = ("on the mat", "in the sun", "by a red house", "here", "there", "in a big tree", "now", "twice")
TEXTS = [f"{subject} {verb} {place}" for subject in SUBJECTS for verb in VERBS for place in PLACES]


def images(count: int = 70) -> np.ndarray:
    """Bars at random places, with some noise."""
    draws = np.random.default_rng(1)
    found = draws.integers(0, 30, (count, 12, 12)).astype(np.uint8)
    for image, place in zip(found, draws.integers(0, 12, count), strict=True):
        image[:, place] = 250
    return found


def vectors(count: int = 60) -> np.ndarray:
    """Rows near a plane of three dimensions."""
    draws = np.random.default_rng(2)
    return (draws.normal(size=(count, 3)) @ draws.normal(size=(3, 8)) + 0.1 * draws.normal(size=(count, 8))).astype(
        "f4"
    )


@cache
def bert() -> str:
    folder = Path(tempfile.mkdtemp(prefix="device-"))
    tiny_bert.bert().save_pretrained(folder)
    return str(tiny_bert.save_tokenizer(folder))


def text_fit(builder: str, device: str, **more: Any) -> TextAutoencoder:
    if builder in ("denoising-text", "readable-embeddings"):
        own: dict[str, Any] = {"checkpoint": bert(), "epochs": 2}
        own |= {"layers": 1, "heads": 2}
        if builder == "readable-embeddings":
            own |= {"vocabulary": 300, "hidden": 16}
        return TextAutoencoder.fit(TEXTS, builder, device=device, **{**RUN, **own, **more})
    small = {"hidden": 16, "code": 4, "epochs": 2, "tokenizer": "word"}
    if builder == "sequence-vae":
        return TextAutoencoder.fit(TEXTS, builder, device=device, **{**RUN, **small, "embedding": 8, **more})
    if builder == "transformer":
        own = {"form": "transformer", "layers": 1, "heads": 2}
        return TextAutoencoder.fit(TEXTS, "sequence-vae", device=device, **{**RUN, **small, **own, **more})
    name = CALLED.get(builder, builder)
    return TextAutoencoder.fit(TEXTS, name, device=device, **{**RUN, **small, **KINDS[builder], **more})


def image_fit(builder: str, device: str, **more: Any) -> ImageAutoencoder:
    if builder == "residual-denoiser":
        own: dict[str, Any] = {"size": 8, "crops": 2, "depth": 3, "filters": 8, "epochs": 2, "validation": 0.2}
        return ImageAutoencoder.fit(images(), builder, device=device, **{**RUN, **own, **more})
    small = {"code": 4, "hidden": 8, "filters": 4, "epochs": 2}
    name = CALLED.get(builder, builder)
    return ImageAutoencoder.fit(images(), name, device=device, **{**RUN, **small, **KINDS[builder], **more})


def vector_fit(builder: str, device: str, **more: Any) -> VectorAutoencoder:
    small = {"code": 3, "epochs": 2}
    name = CALLED.get(builder, builder)
    return VectorAutoencoder.fit(vectors(), name, device=device, **{**RUN, **small, **KINDS[builder], **more})


FITS: Mapping[str, Callable[..., Any]] = {"text": text_fit, "images": image_fit, "vectors": vector_fit}
RECORDS: Mapping[str, Any] = {"text": TEXTS[:5], "images": images()[:5], "vectors": vectors()[:5]}
BUILDERS = {
    "text": [
        *(kind for kind in KINDS if kind != "pseudo-inputs"),
        "sequence-vae",
        "transformer",
        "denoising-text",
        "readable-embeddings",
    ],
    "images": [*KINDS, "residual-denoiser"],
    "vectors": [*KINDS],
}
ALL = [(domain, builder) for domain, builders in BUILDERS.items() for builder in builders]


def check(domain: str, builder: str) -> dict[str, str]:
    here, there = (FITS[domain](builder, device) for device in ("cpu", "pretend"))
    # Vectors are answered in double precision, and that on the CPU.
    place = "cpu" if domain == "vectors" else "pretend"
    assert {tensor.device.type for tensor in there.model.state_dict().values() if tensor.dim()} == {place}
    return table(here, there, asked_of(domain, builder))


def asked_of(domain: str, builder: str) -> dict[str, Verb]:
    """The verbs that are asked of a model."""
    asked = verbs(domain, builder)
    if (domain, builder) == ("text", "sparse"):
        # Two components of the mixture that is drawn from are equally good, and rounding chooses between them.
        del asked["sample"]
    return asked


def verbs(domain: str, builder: str) -> dict[str, Verb]:
    records = RECORDS[domain]
    fit, load = (
        FITS[domain],
        {"text": TextAutoencoder, "images": ImageAutoencoder, "vectors": VectorAutoencoder}[domain],
    )
    found: dict[str, Verb] = {
        "history": lambda face: [record["loss"] for record in face.history.records],
        "validation": lambda face: face.history.best_score,
        "evaluate": lambda face: vars(face.evaluate(records)),
        "anomaly_scores": lambda face: face.anomaly_scores(records),
    }
    if builder == "residual-denoiser":
        del found["anomaly_scores"]
        found["evaluate"] = lambda face: vars(face.evaluate(records, noise=0.1))
        return found | {"denoise": lambda face: face.denoise(records)}
    found |= {
        "encode": lambda face: face.encode(records),
        "search": lambda face: [[(hit.row, float(hit.score)) for hit in hits] for hits in face.search(records, 3)],
        "load on a device": partial(_reloaded, load, records),
    }
    if builder != "denoising-text":
        found |= {
            "decode": lambda face: face.decode(face.encode(records)),
            "reconstruct": lambda face: face.reconstruct(records),
            "sample": lambda face: face.sample(3),
            "interpolate": lambda face: face.interpolate(records[:1], records[1:2], 3),
        }
    if builder in ("variational", "mixture", "pseudo-inputs", "sequence-vae", "transformer"):
        found |= {
            "sample, its own prior": lambda face: face.sample(3, prior="standard"),
            "evaluate, importance samples": lambda face: vars(face.evaluate(records, samples=4)),
        }
    return found | {"resume": partial(_resumed, fit, builder, records)}


def _reloaded(kind: Any, records: Any, face: Any) -> Any:
    """Answers of a bundle that is loaded where the face is."""
    with tempfile.TemporaryDirectory() as place:
        face.save(Path(place) / "b")
        device = next(face.model.parameters()).device
        again = kind.load(Path(place) / "b", device=str(device))
        assert next(again.model.parameters()).device == device
        return again.encode(records)


def _resumed(fit: Callable[..., Any], builder: str, records: Any, face: Any) -> Any:
    """One more epoch after a checkpoint."""
    with tempfile.TemporaryDirectory() as place:
        device = str(next(face.model.parameters()).device.type)
        fit(builder, device, checkpoints=place)
        return fit(builder, device, checkpoints=place, resume=True).encode(records)
