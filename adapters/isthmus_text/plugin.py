"""The plugin object behind the entry point."""

from typing import Any

from isthmus.actions import Offer
from isthmus.models.kinds import contractive, denoising, sparse, vanilla, variational
from isthmus.models.sequence_autoencoder import sequence_autoencoder
from isthmus.models.sequence_vae import sequence_vae
from isthmus.protocols import Plugin
from isthmus_text.adapter import TextAdapter
from isthmus_text.autoencoder import TextAutoencoder
from isthmus_text.cli import commands
from isthmus_text.cli.demo import demo
from isthmus_text.cli.fit_command import fit
from isthmus_text.pretrained.builders import denoising_text, readable_embeddings
from isthmus_text.static.builder import static_embeddings


def serving(model: Any) -> Offer:
    """What a text autoencoder offers over HTTP and to agents."""
    # Imported here because it needs pydantic, which only servers do.
    from isthmus_text.serving.offer import offer

    return offer(model)


plugin = Plugin(
    adapter=TextAdapter,
    builders={
        "contractive": contractive,
        "denoising": denoising,
        "denoising_text": denoising_text,
        "readable_embeddings": readable_embeddings,
        "sequence_autoencoder": sequence_autoencoder,
        "sequence_vae": sequence_vae,
        "sparse": sparse,
        "static_embeddings": static_embeddings,
        "vanilla": vanilla,
        "variational": variational,
    },
    commands={
        "fit": fit,
        "demo": demo,
        "anomalies": commands.anomalies,
        "encode": commands.encode,
        "decode": commands.decode,
        "reconstruct": commands.reconstruct,
        "sample": commands.sample,
        "interpolate": commands.interpolate,
        "search": commands.search,
        "evaluate": commands.evaluate,
    },
    faces={"TextAutoencoder": TextAutoencoder},
    serving=serving,
)
