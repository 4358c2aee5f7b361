"""Recommendations, similar items and users, explanations, and export to files."""
