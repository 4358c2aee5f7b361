"""The builder of the detector's network: masked reconstruction by many small autoencoders trained as one."""

from __future__ import annotations

from torch import Generator

from isthmus.batch import Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus_vectors.detection.grouped import GroupedDecoder, GroupedEncoder, GroupedReadout
from isthmus_vectors.detection.masking import MemberGaussian, MemberMasks, with_mask_channel

MOST_MEMBERS = 10_000


def masked_ensemble(
    signal: Vector,
    *,
    generator: Generator,
    members: int = 8,
    hidden: int = 64,
    code: int = 16,
    low: float = 0.1,
    high: float = 0.6,
    epochs: int = 100,
    batch_size: int = 128,
    learning_rate: float = 1e-2,
    weight_decay: float = 1e-5,
) -> GradientRecipe:
    """Denoising autoencoders with masking noise (Vincent et al. 2010, section 3.4) that are scored on what was hidden
    (He et al. 2022, "Masked autoencoders are scalable vision learners", section 3), each with its own bottleneck.

    Args:
        signal: width of the rows.
        members: number of networks; their bottlenecks range evenly from ``code`` / 4 to ``code`` units.
        hidden: width of the layers before and after the code.
        code: number of units of the widest bottleneck.
        low, high: range of the share of hidden numbers.
        epochs, batch_size, learning_rate, weight_decay: settings of the training.

    Raises:
        SettingError: a setting outside its range.
    """
    if members > MOST_MEMBERS:
        raise SettingError(f"members={members}", expected=f"at most {MOST_MEMBERS:,}")
    check_settings(members=members, hidden=hidden, code=code, epochs=epochs, batch_size=batch_size)
    if not 0 <= low <= high <= 1:
        raise SettingError(f"between {low} and {high} of the numbers hidden", expected="0 <= low <= high <= 1")
    narrowest = max(1, code // 4)
    codes = [narrowest + round((code - narrowest) * m / max(1, members - 1)) for m in range(members)]
    width = signal.width
    sizes = (2 * width, hidden, code)
    encoder = GroupedEncoder(members, sizes, codes, generator=generator, activation="silu")
    decoder = GroupedDecoder(members, (code, hidden), generator=generator, activation="silu")
    model = Autoencoder(
        encoder=encoder,
        bottleneck=Deterministic(),
        decoder=decoder,
        readout=GroupedReadout(members, hidden, width, generator=generator),
        likelihood=MemberGaussian(),
        scaling=with_mask_channel,
        corruption=MemberMasks(members, low, high),
    )
    plan = Plan(
        (Phase(epochs),),
        Shuffled(batch_size),
        learning_rate,
        decay="cosine",
        weight_decay=weight_decay,
        clip=5.0,
    )
    return GradientRecipe(model, plan)
