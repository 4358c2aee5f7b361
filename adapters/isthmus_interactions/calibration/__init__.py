"""Calibrated answers: the chance that a recommended item is a hit."""
