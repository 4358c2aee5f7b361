"""Reads interactions from files and tables."""
