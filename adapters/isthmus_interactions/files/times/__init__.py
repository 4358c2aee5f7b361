"""Columns of times."""
