"""Plots of models, trainings, codes and images (extra ``plot``). Each function returns a new figure without a window or
global state; ``save`` writes it to a file.

    from isthmus import load, plots
    plots.save(plots.overview(load("books.bundle")), "books.png")
"""

from isthmus.plots.drawing import save
from isthmus.plots.maps import latent_map
from isthmus.plots.models import overview, panels_of
from isthmus.plots.overview import Drawable, Missing, Panel, drawn
from isthmus.plots.sheets import sheet
from isthmus.plots.training import training_curves, training_panels

__all__ = [
    "Drawable",
    "Missing",
    "Panel",
    "drawn",
    "latent_map",
    "overview",
    "panels_of",
    "save",
    "sheet",
    "training_curves",
    "training_panels",
]
