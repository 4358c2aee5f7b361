"""Epochs sent to a tracker of experiments: ``fit(..., log=to_mlflow(mlflow))``.

Anything that can be called with a mapping is a logger. The functions here make one out of what TensorBoard, Weights &
Biases, Trackio and MLflow offer; none of these is imported by isthmus.
"""

from isthmus.training.loggers.logged import Log as Log
from isthmus.training.loggers.logged import Logged
from isthmus.training.loggers.trackers import to_mlflow, to_tensorboard, to_wandb

__all__ = ["Logged", "to_mlflow", "to_tensorboard", "to_wandb"]
