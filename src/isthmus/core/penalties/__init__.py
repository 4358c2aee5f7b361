"""Penalties that are added to the objective: sparsity, dead units, contraction, commitment."""
