"""Pictures of trainings, codes and images (extra ``plot``). Every function returns a figure of its own, which belongs
to no window and no global state; ``save`` writes it."""

from isthmus.plots.drawing import save
from isthmus.plots.maps import latent_map
from isthmus.plots.sheets import sheet
from isthmus.plots.training import training_curves

__all__ = ["latent_map", "save", "sheet", "training_curves"]
