"""The plugin object behind the entry point."""

from collections.abc import Mapping
from typing import Any

from isthmus.actions import Offer
from isthmus.models.kinds import contractive, denoising, sparse, vanilla, variational
from isthmus.models.matryoshka import matryoshka
from isthmus.protocols import Plugin
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.cli import commands
from isthmus_vectors.cli.demo import demo
from isthmus_vectors.cli.fit_command import fit
from isthmus_vectors.cli.units_command import units
from isthmus_vectors.compressor import BUILDER as COMPRESSOR
from isthmus_vectors.compressor import Compressor
from isthmus_vectors.detection import Detector
from isthmus_vectors.detection.storage import BUILDER as DETECTOR
from isthmus_vectors.storage import LAYOUT


def face_for(builder: str, facts: Mapping[str, Any]) -> str:
    """Compressors and detectors have their own builders; an autoencoder with a compressor's builder is marked by a
    fact."""
    if LAYOUT.marked_by in facts:
        return "VectorAutoencoder"
    return {COMPRESSOR: "Compressor", DETECTOR: "Detector"}.get(builder, "VectorAutoencoder")


def serving(model: Any) -> Offer:
    """What a model of vectors offers over HTTP and to agents."""
    # Imported here because it needs pydantic, which only servers do.
    from isthmus_vectors.serving.offer import offer

    return offer(model)


plugin = Plugin(
    adapter=VectorAdapter,
    builders={
        "contractive": contractive,
        "denoising": denoising,
        "matryoshka": matryoshka,
        "sparse": sparse,
        "vanilla": vanilla,
        "variational": variational,
    },
    commands={
        "fit": fit,
        "demo": demo,
        "encode": commands.encode,
        "reconstruct": commands.reconstruct,
        "sample": commands.sample,
        "search": commands.search,
        "anomalies": commands.anomalies,
        "evaluate": commands.evaluate,
        "units": units,
    },
    faces={"Compressor": Compressor, "Detector": Detector, "VectorAutoencoder": VectorAutoencoder},
    face_for=face_for,
    serving=serving,
)
