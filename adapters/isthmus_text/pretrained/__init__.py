"""Models that begin with a pretrained encoder."""
