"""Scores of a recommender on held-out users, compared with popularity, and the panels of its picture."""
