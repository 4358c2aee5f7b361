"""Join parts into a model that no paper names: a denoising variational autoencoder over dense vectors.

python examples/your_own_autoencoder.py
"""

import torch

from isthmus.core import (
    Autoencoder,
    DenseDecoder,
    DenseEncoder,
    Elbo,
    Gaussian,
    GaussianLikelihood,
    GaussianNoise,
    LinearAnnealing,
    LinearReadout,
    StandardNormal,
)
from isthmus.protocols import Phase
from isthmus.sources import VectorSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train

WIDTH, HIDDEN, CODE = 20, 128, 4


def curve(rows: int, generator: torch.Generator) -> torch.Tensor:
    """Points on a closed curve in WIDTH dimensions."""
    angle = 6.28 * torch.rand(rows, 1, generator=generator)
    return torch.sin(angle * torch.arange(1, 4) @ torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(1)))


def main() -> None:
    """Train, encode, denoise, sample."""
    run = Run(seed=0)
    g = run.generator()
    model = Autoencoder(
        encoder=DenseEncoder(WIDTH, (HIDDEN,), generator=g, activate_last=True),
        bottleneck=Gaussian(HIDDEN, CODE, generator=g),
        prior=StandardNormal(CODE),
        decoder=DenseDecoder(CODE, (HIDDEN,), generator=g),
        readout=LinearReadout(HIDDEN, WIDTH, generator=g),
        likelihood=GaussianLikelihood(scale=0.1),
        corruption=GaussianNoise(0.3),
        objective=Elbo(LinearAnnealing(cap=0.5, until=0.5)),
    )
    points = curve(2000, g)
    plan = Plan((Phase(epochs=60),), batching=Shuffled(100), learning_rate=3e-3)
    history = train(model, VectorSource(points), plan, run)
    print(f"nats a row: {history.records[0]['nll']:.1f} at first, {history.records[-1]['nll']:.1f} in the end")

    batch = VectorSource(points + 0.3 * torch.randn(points.shape, generator=g)).batch(torch.arange(len(points)))
    with torch.no_grad():
        cleaned = model.likelihood.mean(model.readout, model.decode(model.encode(batch.inputs).point))
        fresh = model.likelihood.mean(model.readout, model.decode(model.prior.sample(3, g)))
    noisy = (batch.inputs.values - points).square().mean().sqrt()
    print(f"error of noisy points {noisy:.3f}, denoised {(cleaned - points).square().mean().sqrt():.3f}")
    print("a sample:", [round(x, 2) for x in fresh[0, :5].tolist()])


if __name__ == "__main__":
    main()
