"""Loggers for experiment trackers: ``fit(..., log=to_mlflow(mlflow))``.

Any function of one mapping is a logger. The functions here create loggers for TensorBoard, Weights & Biases, Trackio
and MLflow; isthmus imports none of these.
"""

from isthmus.training.loggers.logged import Log as Log
from isthmus.training.loggers.logged import Logged
from isthmus.training.loggers.trackers import to_mlflow, to_tensorboard, to_wandb

__all__ = ["Logged", "to_mlflow", "to_tensorboard", "to_wandb"]
