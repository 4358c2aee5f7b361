"""A fitted recommender and new data: joined, continued, or fitted again."""
