"""Updates a fitted recommender with new data: merges, continues training, or fits again."""
