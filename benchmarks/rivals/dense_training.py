"""Runs in the rivals' environment: PyOD's or pythae's autoencoder on given rows, timed and measured on held-out ones.

    python dense_training.py FOLDER

The folder holds train.npy and held_out.npy (standardised already) and job.json: library, batch, epochs, rate, sizes.
It gets report.json: seconds of the training alone, on the processor (one thread trains), and the mean squared error of
a held-out number.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn


def layers(sizes, *, last):
    """Linear layers with ReLU between them, and after the last one where asked."""
    made = []
    for index in range(len(sizes) - 1):
        made.append(nn.Linear(sizes[index], sizes[index + 1]))
        if last or index < len(sizes) - 2:
            made.append(nn.ReLU())
    return nn.Sequential(*made)


def pyod(job, train, held_out):
    """As it comes but for batch normalisation and dropout, which the others have not; its clock is ``train`` alone,
    without the scores of all rows that ``fit`` computes afterwards."""
    from pyod.models.auto_encoder import AutoEncoder

    class Timed(AutoEncoder):
        def train(self, train_loader):
            started = time.process_time()
            super().train(train_loader)
            self.training_seconds = time.process_time() - started

    detector = Timed(
        lr=job["rate"], epoch_num=job["epochs"], batch_size=job["batch"], verbose=0, optimizer_params={},
        hidden_neuron_list=job["sizes"], batch_norm=False, dropout_rate=0.0,
    )  # fmt: skip
    detector.fit(train)
    scaled = (held_out - detector.X_mean) / np.where(detector.X_std == 0, 1, detector.X_std)
    inputs = torch.from_numpy(scaled.astype(np.float32))
    with torch.no_grad():
        error = ((detector.model.eval()(inputs) - inputs) * torch.from_numpy(detector.X_std).float()).square().mean()
    return detector.training_seconds, float(error)


def pythae(job, train, held_out):
    """Its trainer's steps alone, without the copies and files it makes between epochs."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    width, sizes = train.shape[1], job["sizes"]

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.layers = layers([width, *sizes], last=False)

        def forward(self, x):
            return ModelOutput(embedding=self.layers(x))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.layers = layers([*reversed(sizes), width], last=False)

        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z))

    class Timed(BaseTrainer):
        training_seconds = 0.0

        def train_step(self, epoch):
            started = time.process_time()
            loss = super().train_step(epoch)
            self.training_seconds += time.process_time() - started
            return loss

    model = AE(AEConfig(input_dim=(width,), latent_dim=sizes[-1]), encoder=Encoder(), decoder=Decoder())
    rows = torch.from_numpy(train)
    config = BaseTrainerConfig(
        output_dir="pythae", num_epochs=job["epochs"], learning_rate=job["rate"], no_cuda=True,
        per_device_train_batch_size=job["batch"], keep_best_on_train=True, optimizer_cls="Adam",
    )  # fmt: skip
    trainer = Timed(model, BaseDataset(rows, torch.zeros(len(rows))), training_config=config)
    trainer.train()
    inputs = torch.from_numpy(held_out)
    with torch.no_grad():
        error = (model.decoder(model.encoder(inputs).embedding).reconstruction - inputs).square().mean()
    return trainer.training_seconds, float(error)


def main():
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    torch.manual_seed(job["seed"])
    train, held_out = (np.load(folder / f"{name}.npy") for name in ("train", "held_out"))
    seconds, error = {"pyod": pyod, "pythae": pythae}[job["library"]](job, train, held_out)
    report = {
        "seconds": seconds,
        "error": error,
        "threads": torch.get_num_threads(),
        "version": version(job["library"]),
    }
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
