"""The report on a recommender: its quality for groups of users and items, and problems of the test data."""
