"""ELSA as a setting of the parts."""

from __future__ import annotations

from torch import Generator

from isthmus.batch import Bag
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import Deterministic
from isthmus.core.decoders import DenseDecoder
from isthmus.core.unit_rows import CosineError, TiedEncoder, UnitNormReadout, keep_unit_rows
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase
from isthmus.training.plan import Plan, Shuffled


def elsa(
    signal: Bag,
    *,
    generator: Generator,
    code: int = 256,
    epochs: int = 20,
    batch_size: int = 512,
    learning_rate: float = 0.1,
    decay: str = "cosine",
    patience: int | None = None,
) -> GradientRecipe:
    """ELSA: a linear autoencoder of low rank (Vančura et al., RecSys 2022); its rows are the index.

    Advice: catalogues that are too large for EASE and EDLAE; memory grows with the items, not with their square.

    x is predicted as x A Aᵀ − x with one table A of unit rows, trained to make the unit vectors of both near each
    other. The authors cut the prediction at 0 in the loss, which needs all its columns; that is left out, and nothing
    of people × items is made. A step costs items × code² products whatever the batch. Scores are x A Aᵀ: the −x only
    counts for what is in the bag already.

    Args:
        code: the length of the rows; more follow rare pairs of items better.
        decay: of the learning rate: "cosine" or "constant".
        patience: epochs without a better validation score before training stops; None trains all epochs.
    """
    check_settings(code=code, epochs=epochs, batch_size=batch_size)
    readout = UnitNormReadout(signal.width, code, generator=generator)
    model = Autoencoder(
        encoder=TiedEncoder(readout),
        bottleneck=Deterministic(),
        decoder=DenseDecoder(code, generator=generator),
        readout=readout,
        likelihood=CosineError(),
        hooks=(keep_unit_rows(),),
    )
    plan = Plan(
        phases=(Phase(epochs),),
        batching=Shuffled(batch_size),
        learning_rate=learning_rate,
        decay=decay,
        patience=patience,
    )
    return GradientRecipe(model, plan)
