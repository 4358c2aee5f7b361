"""Hyperparameter search behind ``isthmus tune``."""
