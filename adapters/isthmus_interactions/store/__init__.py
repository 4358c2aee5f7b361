"""Stores of interactions: events from files to mapped arrays, without ever holding all of them."""
