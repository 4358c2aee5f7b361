"""Recipes: models with the plans that train them, checks of settings, and rebuilding from saved tensors."""
