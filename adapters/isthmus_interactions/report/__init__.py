"""The report on a recommender: how good it is for whom, and what is wrong with the test."""
