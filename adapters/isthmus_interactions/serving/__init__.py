"""What a recommender answers over HTTP and to agents."""
