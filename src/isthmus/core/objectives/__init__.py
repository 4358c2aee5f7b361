"""Objectives, which combine rate and log-likelihood, and remedies against posterior collapse."""

from isthmus.core.objectives.elbo import Capacity, Elbo, ImportanceWeighted
from isthmus.core.objectives.schedules import Constant, HistoryLengthWeight, LinearAnnealing

__all__ = ["Capacity", "Constant", "Elbo", "HistoryLengthWeight", "ImportanceWeighted", "LinearAnnealing"]
