"""Reads texts from files, columns and iterators."""
