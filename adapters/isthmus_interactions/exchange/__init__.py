"""Interactions from databases, and rankings for the tools of information retrieval."""
