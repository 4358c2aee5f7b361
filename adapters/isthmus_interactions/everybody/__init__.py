"""The final fit on all users, including those who were held out to choose a model."""
