"""The plugin object behind the entry point."""

from typing import Any

from isthmus.actions import Offer
from isthmus.models.denoisers.dncnn import residual_denoiser
from isthmus.models.denoisers.unet_denoiser import unet_denoiser
from isthmus.models.kinds import contractive, denoising, sparse, vanilla, variational
from isthmus.protocols import Plugin
from isthmus_images.adapter import ImageAdapter
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_images.cli import commands
from isthmus_images.cli.demo import demo
from isthmus_images.cli.denoise_command import denoise
from isthmus_images.cli.fit_command import fit


def serving(model: Any) -> Offer:
    """What an image autoencoder offers over HTTP and to agents."""
    # Imported here because it needs pydantic, which only servers do.
    from isthmus_images.serving.offer import offer

    return offer(model)


plugin = Plugin(
    adapter=ImageAdapter,
    builders={
        "contractive": contractive,
        "denoising": denoising,
        "residual_denoiser": residual_denoiser,
        "sparse": sparse,
        "unet_denoiser": unet_denoiser,
        "vanilla": vanilla,
        "variational": variational,
    },
    commands={
        "fit": fit,
        "demo": demo,
        "anomalies": commands.anomalies,
        "denoise": denoise,
        "encode": commands.encode,
        "evaluate": commands.evaluate,
        "interpolate": commands.interpolate,
        "reconstruct": commands.reconstruct,
        "sample": commands.sample,
        "search": commands.search,
    },
    faces={"ImageAutoencoder": ImageAutoencoder},
    serving=serving,
)
