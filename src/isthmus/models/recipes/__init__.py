"""What a builder yields: a model with the plan that trains it, its settings checked, rebuilt from saved tensors."""
