"""The commands of the adapter."""
