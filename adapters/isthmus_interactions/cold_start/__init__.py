"""Recommendation of items without interactions, by their tags, texts or vectors."""
