"""``implicit``'s ALS and BPR as models of isthmus: the library trains the factors of the items.

It is needed for training only. Trained models are used, saved and loaded without it.
"""

from __future__ import annotations

from torch import Generator

from isthmus.batch import Bag
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.decoders import DenseDecoder
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_settings
from isthmus_interactions.factorisation.factors import LeastSquares, WeightedSquares
from isthmus_interactions.factorisation.implicit_training import ImplicitRecipe
from isthmus_interactions.factorisation.pairwise import Opponents, PairwiseFit, PairwiseLogistic


def als(
    signal: Bag,
    *,
    generator: Generator,
    factors: int = 64,
    regularisation: float = 0.01,
    alpha: float = 1.0,
    iterations: int = 15,
) -> ImplicitRecipe:
    """ALS: implicit's weighted matrix factorisation (Hu, Koren & Volinsky, ICDM 2008); needs ``isthmus[implicit]``.

    Advice: a baseline by matrix factorisation; it ranks better with far more factors than the usual 64.

    Minimises Σ_ui c_ui (p_ui − x_u · y_i)² + λ (Σ_u |x_u|² + Σ_i |y_i|²), equation 3 of the paper, with p_ui = 1 and
    c_ui = α w_ui for an entry of weight w_ui, and p_ui = 0 and c_ui = 1 for every missing entry. The factor of a new
    user minimises the same loss with fixed item factors.

    Args:
        factors: dimensions of the code.
        regularisation: λ, on the squared length of every factor.
        alpha: α, how much more an item of the history counts than any other.
        iterations: passes over users and items.

    Returns:
        A recipe to fit; its model folds every history in.
    """
    check_settings(factors=factors, alpha=alpha, iterations=iterations)
    _check_not_negative(regularisation=regularisation)
    readout = LinearReadout(factors, signal.width, generator=generator)
    model = Autoencoder(
        encoder=LeastSquares(readout, alpha=alpha, regularisation=regularisation),
        bottleneck=Deterministic(),
        decoder=DenseDecoder(factors, generator=generator),
        readout=readout,
        likelihood=WeightedSquares(alpha),
    )
    settings = {"factors": factors, "regularization": regularisation, "alpha": alpha, "iterations": iterations}
    return ImplicitRecipe(model, "als", settings, readout)


def bpr(
    signal: Bag,
    *,
    generator: Generator,
    factors: int = 64,
    regularisation: float = 0.01,
    learning_rate: float = 0.05,
    iterations: int = 100,
    verify: bool = True,
    negatives: int = 500,
    prior: float = 4.0,
) -> ImplicitRecipe:
    """BPR: implicit's pairwise matrix factorisation (Rendle et al., UAI 2009); needs ``isthmus[implicit]``.

    Advice: a baseline; EASE ranks better on Gowalla, Yelp2018 and Amazon-Book.

    Maximises Σ ln σ(x_ui − x_uj) − λ |Θ|², BPR-OPT in section 4.1 of the paper, over items i of a history and items j
    that are drawn by popularity. Training uses a single thread, so that the same seed gives the same factors. The
    factor of a new user minimises the expected loss with fixed item factors. Weights are ignored.

    Args:
        factors: dimensions of the code; items also have a bias.
        regularisation: λ, on the squared length of every factor, at each draw.
        learning_rate: step size of the stochastic gradient descent.
        iterations: passes over the interactions.
        verify: whether items that the user interacted with are excluded from the negatives.
        negatives: number of draws that represent all items when the factor of a new user is computed.
        prior: how strongly the factor of a new user is pulled to 0; the default was chosen on validation readers of
            goodbooks-10k, over four lengths of training.

    Returns:
        A recipe to fit; its model folds every history in.
    """
    check_settings(factors=factors, learning_rate=learning_rate, iterations=iterations)
    check_settings(negatives=negatives, prior=prior)
    _check_not_negative(regularisation=regularisation)
    readout = LinearReadout(factors, signal.width, generator=generator)
    opponents = Opponents(signal.width, negatives, verify=verify)
    model = Autoencoder(
        encoder=PairwiseFit(readout, opponents, regularisation=regularisation, prior=prior),
        bottleneck=Deterministic(),
        decoder=DenseDecoder(factors, generator=generator),
        readout=readout,
        likelihood=PairwiseLogistic(opponents),
    )
    settings = {
        "factors": factors,
        "regularization": regularisation,
        "learning_rate": learning_rate,
        "iterations": iterations,
        "verify_negative_samples": verify,
        "num_threads": 1,
    }
    return ImplicitRecipe(model, "bpr", settings, readout, opponents)


def _check_not_negative(**settings: float) -> None:
    for name, value in settings.items():
        if value < 0:
            raise SettingError(f"{name}={value}", expected="0 or more")
