"""Learning and forgetting: the recommender that a fit on the changed data would give."""
