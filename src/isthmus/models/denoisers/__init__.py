"""Networks that clean images of any size."""
