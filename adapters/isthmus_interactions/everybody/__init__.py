"""The final fit on all users, those who were held out to choose a model among them."""
