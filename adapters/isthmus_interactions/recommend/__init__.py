"""What a fitted recommender answers: the best items, similar users, why, and to files."""
