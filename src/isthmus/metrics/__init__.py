"""Metrics as plain functions."""
