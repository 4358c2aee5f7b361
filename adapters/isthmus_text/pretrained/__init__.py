"""Models based on a pretrained encoder."""
