"""What a recommender tells of itself: scores of held-out users beside those of popularity, and panels for a picture."""
