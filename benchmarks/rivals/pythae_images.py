"""Runs in the rivals' environment: a model of pythae over images, with the layers of isthmus's own.

    python pythae_images.py FOLDER

The folder holds train.npy and test.npy (uint8, images × 1 × 28 × 28) and job.json: model (vae, iwae or rae_l2),
measure (nll or frechet), prior (standard or fitted), code, widths, hidden, epochs, batch, rate, samples, seed. It gets
report.json, and for ``frechet`` samples.npy and back.npy, as many as there are test images, from 0 to 1.

``nll``: training images are drawn as black and white anew in every batch; the test images come so. The estimate is
computed here, since pythae's own leaves out the number of importance samples that a batch cuts off.
"""

import json
import math
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import IWAE, RAE_L2, VAE, IWAEConfig, RAE_L2_Config, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.samplers import GaussianMixtureSampler, GaussianMixtureSamplerConfig, NormalSampler
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import nn

PART = 10
"""Images at a time in the estimate, each with all its samples."""


class Encoder(BaseEncoder):
    def __init__(self, job):
        super().__init__()
        first, second = job["widths"]
        self.body = nn.Sequential(
            *(nn.Conv2d(1, first, 3, 2, 1), nn.SiLU(), nn.Conv2d(first, second, 3, 2, 1), nn.SiLU(), nn.Flatten()),
            *(nn.Linear(second * 49, job["hidden"]), nn.SiLU()),
        )
        self.mean = nn.Linear(job["hidden"], job["code"])
        self.spread = None if job["model"] == "rae_l2" else nn.Linear(job["hidden"], job["code"])

    def forward(self, x):
        hidden = self.body(x)
        if self.spread is None:
            return ModelOutput(embedding=self.mean(hidden))
        return ModelOutput(embedding=self.mean(hidden), log_covariance=self.spread(hidden))


class Decoder(BaseDecoder):
    def __init__(self, job):
        super().__init__()
        first, second = job["widths"]
        layers = [nn.Linear(job["code"], second * 49), nn.SiLU(), nn.Unflatten(1, (second, 7, 7))]
        layers += [nn.ConvTranspose2d(second, first, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(first, 1, 4, 2, 1)]
        self.body = nn.Sequential(*layers, *([nn.Sigmoid()] if job["measure"] == "nll" else []))

    def forward(self, z):
        return ModelOutput(reconstruction=self.body(z))


class Binarised(BaseDataset):
    """Every number is 0 or 1 with its own chance, drawn anew whenever it is asked for."""

    def __getitem__(self, index):
        found = super().__getitem__(index)
        found["data"] = torch.bernoulli(found["data"])
        return found


def built(job):
    common = {"input_dim": (1, 28, 28), "latent_dim": job["code"]}
    if job["model"] == "rae_l2":
        return RAE_L2(RAE_L2_Config(**common), encoder=Encoder(job), decoder=Decoder(job))
    common["reconstruction_loss"] = "bce" if job["measure"] == "nll" else "mse"
    if job["model"] == "iwae":
        return IWAE(IWAEConfig(**common, number_samples=job["samples"]), encoder=Encoder(job), decoder=Decoder(job))
    return VAE(VAEConfig(**common), encoder=Encoder(job), decoder=Decoder(job))


def trained(job, images):
    model = built(job)
    config = BaseTrainerConfig(
        output_dir="pythae", num_epochs=job["epochs"], learning_rate=job["rate"], no_cuda=True, optimizer_cls="Adam",
        per_device_train_batch_size=job["batch"], keep_best_on_train=True, scheduler_cls="CosineAnnealingLR",
        scheduler_params={"T_max": job["epochs"]},
    )  # fmt: skip
    rows = (Binarised if job["measure"] == "nll" else BaseDataset)(images, torch.zeros(len(images)))
    started = time.perf_counter()
    trainer = BaseTrainer(model, rows, training_config=config)
    trainer.train()
    return trainer._best_model.eval(), time.perf_counter() - started


@torch.no_grad()
def log_likelihoods(model, images, samples):
    """log 1/S Σ p(x|z) p(z) / q(z|x), nats per image."""
    found = []
    for part in images.split(PART):
        coded = model.encoder(part)
        mean, spread = coded.embedding[:, None], (0.5 * coded.log_covariance)[:, None]
        noise = torch.randn(len(part), samples, mean.shape[-1])
        z = mean + spread.exp() * noise
        posterior = (-0.5 * noise.square() - spread).sum(2)
        prior = -0.5 * z.square().sum(2)
        seen = model.decoder(z.flatten(0, 1)).reconstruction.view(len(part), samples, -1).clamp(1e-7, 1 - 1e-7)
        asked = part.flatten(1)[:, None]
        chance = (asked * seen.log() + (1 - asked) * (-seen).log1p()).sum(2)
        found.append(torch.logsumexp(chance + prior - posterior, 1) - math.log(samples))
    return torch.cat(found)


@torch.no_grad()
def drawn(job, model, train, count):
    if job["prior"] == "standard":
        sampler = NormalSampler(model)
    else:
        sampler = GaussianMixtureSampler(model, GaussianMixtureSamplerConfig(n_components=10))
        sampler.fit(train)
    return sampler.sample(count).clamp(0, 1)


def main():
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch.manual_seed(job["seed"])
    train, test = (torch.from_numpy(np.load(folder / f"{name}.npy")).float() / 255 for name in ("train", "test"))
    model, seconds = trained(job, train)
    report = {"seconds": seconds, "threads": torch.get_num_threads(), "version": version("pythae")}
    if job["measure"] == "nll":
        found = log_likelihoods(model, test, job["importance"])
        report |= {"nll": -float(found.mean()), "standard_error": float(found.std() / len(found) ** 0.5)}
    else:
        with torch.no_grad():
            coded = [model.encoder(part).embedding for part in test.split(1000)]
            back = torch.cat([model.decoder(part).reconstruction for part in coded]).clamp(0, 1)
        np.save(folder / "back.npy", back[:, 0].numpy())
        np.save(folder / "samples.npy", drawn(job, model, train, len(test))[:, 0].numpy())
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
