"""Calibrated recommendations: the probability that a recommended item is a hit."""
