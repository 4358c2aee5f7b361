"""What happens to a static model around its training: how its teacher computes, and what is kept of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from isthmus.core.autoencoder import Autoencoder
from isthmus.training.run import Run
from isthmus_text.static.teacher import teacher_of


def products_of_teacher(model: Autoencoder, run: Run) -> AbstractContextManager[object]:
    """The precision of the run for the vectors of a teacher; other models compute their vectors in fp32, as
    afterwards."""
    return nullcontext() if teacher_of(model) is None else run.products()


def finish(model: Autoencoder) -> None:
    """Round the token vectors of a trained model and drop its teacher, in place; other models do not change."""
    packed = getattr(model.encoder, "packed", None)
    if packed is not None:
        model.encoder = packed().eval()
