"""What the entry point yields."""

from isthmus.models.kinds import contractive, denoising, sparse, vanilla, variational
from isthmus.models.matryoshka import matryoshka
from isthmus.protocols import Plugin
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.cli import commands
from isthmus_vectors.cli.demo import demo
from isthmus_vectors.cli.fit_command import fit

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
    },
)
