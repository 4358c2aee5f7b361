"""Requests and responses of a recommender over HTTP and for agents."""
