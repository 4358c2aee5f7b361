"""What the entry point yields: the adapter, one model made of isthmus's parts, and two commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Generator

from isthmus import bundle
from isthmus.batch import Vector
from isthmus.cli.output import Json, emit, table
from isthmus.cli.progress import RichProgress
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import Gaussian as GaussianBottleneck
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import DenseEncoder
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.priors.normal import StandardNormal
from isthmus.core.readouts import LinearReadout
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase, Plugin
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus_toy.adapter import DIGITS, TernaryAdapter, Words


def ternary_vae(
    signal: Vector, *, generator: Generator, hidden: int = 16, code: int = 2, scale: float = 0.2, epochs: int = 60
) -> GradientRecipe:
    """A small variational autoencoder for words, with a Gaussian likelihood."""
    model = Autoencoder(
        encoder=DenseEncoder(signal.width, (hidden,), generator=generator, activate_last=True),
        bottleneck=GaussianBottleneck(hidden, code, generator=generator),
        prior=StandardNormal(code),
        decoder=DenseDecoder(code, (hidden,), generator=generator),
        readout=LinearReadout(hidden, signal.width, generator=generator),
        likelihood=Gaussian(scale),
    )
    return GradientRecipe(model, Plan((Phase(epochs),), batching=Shuffled(16), learning_rate=1e-2))


def fit(
    file: Annotated[Path, typer.Argument(help="Words, one a line.")],
    out: Annotated[Path, typer.Option("--out", help="The bundle to write.")],
    epochs: int = 60,
    as_json: Json = False,
) -> None:
    """Learn words of ternary digits."""
    bundle.check_target(out)
    words = TernaryAdapter.read(file)
    adapter = TernaryAdapter.fit(words)
    run = Run(device="cpu", progress=RichProgress())
    recipe = ternary_vae(adapter.signal, generator=run.generator(), epochs=epochs)
    history = recipe.fit(adapter.prepare(words), run)
    settings, tensors = {"epochs": epochs}, bundle.state_of(recipe.model)
    documents = adapter.state()
    bundle.write(out, plugin="ternary", builder="ternary_vae", settings=settings, tensors=tensors, documents=documents)
    losses = [float(record["loss"]) for record in history.records]
    emit({"out": out, "first": losses[0], "last": losses[-1]}, as_json, lambda: table(("loss",), [(losses[-1],)]))


def repair(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The bundle.")], word: str, as_json: Json = False
) -> None:
    """Say which word was probably meant."""
    saved = bundle.read(directory)
    with bundle.as_damage(directory):
        adapter = TernaryAdapter.restore(saved.documents)
        recipe = ternary_vae(adapter.signal, generator=Generator(), **saved.manifest.settings)
        bundle.load_state(recipe.model, saved.tensors)
    model = recipe.model.eval()
    batch = adapter.prepare(Words((word,))).batch(torch.tensor([0]))
    with torch.no_grad():
        mean = model.likelihood.mean(model.readout, model.decode(model.encode(batch.inputs).sample))
    names = {value: digit for digit, value in DIGITS.items()}
    meant = "".join(names[float(value)] for value in mean[0].round().clamp(-1, 1) + 0.0)
    emit({"given": word, "meant": meant}, as_json, lambda: table(("given", "meant"), [(word, meant)]))


plugin = Plugin(TernaryAdapter, {"ternary_vae": ternary_vae}, {"fit": fit, "repair": repair})
