"""Exact learning and forgetting: gives the recommender that a fit on the changed data would give."""
