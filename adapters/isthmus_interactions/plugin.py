"""The plugin object behind the entry point."""

from typing import Any

from isthmus.actions import Offer
from isthmus.models import (
    blend,
    ease,
    edlae,
    elsa,
    low_pass,
    mult_dae,
    mult_vae,
    rdlae,
    rec_vae,
    sequence_linear,
    sequence_recommender,
    sparse_linear,
)
from isthmus.models.kinds import contractive, denoising, sparse, vanilla, variational
from isthmus.models.recipes.recent import recent
from isthmus.protocols import Plugin
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.baselines import item_knn, popularity
from isthmus_interactions.cli import commands, exact_commands
from isthmus_interactions.cli.calibrate_command import calibrate
from isthmus_interactions.cli.demo import demo
from isthmus_interactions.cli.fit_command import fit
from isthmus_interactions.cli.report_command import report
from isthmus_interactions.cli.store_command import store
from isthmus_interactions.cli.tune_command import tune
from isthmus_interactions.cli.update_command import update
from isthmus_interactions.cold_start.content_neighbours import content_knn
from isthmus_interactions.factorisation.implicit_models import als, bpr
from isthmus_interactions.recommender import Recommender


def serving(recommender: Any) -> Offer:
    """What a recommender offers over HTTP and to agents."""
    # Imported here because it needs pydantic, which only servers do.
    from isthmus_interactions.serving.offer import offer

    return offer(recommender)


plugin = Plugin(
    adapter=InteractionsAdapter,
    builders={
        "als": als,
        "blend": blend,
        "bpr": bpr,
        "content_knn": content_knn,
        "contractive": contractive,
        "denoising": denoising,
        "ease": ease,
        "edlae": edlae,
        "elsa": elsa,
        "item_knn": item_knn,
        "low_pass": low_pass,
        "mult_dae": mult_dae,
        "mult_vae": mult_vae,
        "popularity": popularity,
        "rdlae": rdlae,
        "rec_vae": rec_vae,
        "recent": recent,
        "sequence_linear": sequence_linear,
        "sequence_recommender": sequence_recommender,
        "sparse": sparse,
        "sparse_linear": sparse_linear,
        "vanilla": vanilla,
        "variational": variational,
    },
    commands={
        "fit": fit,
        "tune": tune,
        "store": store,
        "update": update,
        "calibrate": calibrate,
        "learn": exact_commands.learn,
        "forget": exact_commands.forget,
        "demo": demo,
        "recommend": commands.recommend,
        "similar": commands.similar,
        "explain": commands.explain,
        "items": commands.items,
        "evaluate": commands.evaluate,
        "report": report,
    },
    faces={"Recommender": Recommender},
    serving=serving,
)
