"""What the entry point yields."""

from isthmus.models import ease, mult_dae, mult_vae
from isthmus.protocols import Plugin
from isthmus_interactions import commands
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.demo import demo

plugin = Plugin(
    adapter=InteractionsAdapter,
    builders={"ease": ease, "mult_dae": mult_dae, "mult_vae": mult_vae},
    commands={
        "fit": commands.fit,
        "demo": demo,
        "recommend": commands.recommend,
        "similar": commands.similar,
        "explain": commands.explain,
        "evaluate": commands.evaluate,
    },
)
