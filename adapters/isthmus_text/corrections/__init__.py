"""Texts that are corrected until their embedding is that which was given: a search, guided by the encoder."""
