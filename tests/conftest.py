"""Two processes share the tests (``-n 0`` asks for one): each, and what it starts, keeps to one core."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)
