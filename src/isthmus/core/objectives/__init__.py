"""How rate and log-likelihood are weighed, and cures of posterior collapse."""

from isthmus.core.objectives.elbo import ByTotal, Capacity, Constant, Elbo, ImportanceWeighted, LinearAnnealing

__all__ = ["ByTotal", "Capacity", "Constant", "Elbo", "ImportanceWeighted", "LinearAnnealing"]
