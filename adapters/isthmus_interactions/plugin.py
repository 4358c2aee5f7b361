"""What the entry point yields."""

from isthmus.models import ease, edlae, mult_dae, mult_vae, rdlae, rec_vae
from isthmus.protocols import Plugin
from isthmus_interactions import commands
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.demo import demo

plugin = Plugin(
    adapter=InteractionsAdapter,
    builders={
        "ease": ease,
        "edlae": edlae,
        "mult_dae": mult_dae,
        "mult_vae": mult_vae,
        "rdlae": rdlae,
        "rec_vae": rec_vae,
    },
    commands={
        "fit": commands.fit,
        "demo": demo,
        "recommend": commands.recommend,
        "similar": commands.similar,
        "explain": commands.explain,
        "evaluate": commands.evaluate,
    },
)
