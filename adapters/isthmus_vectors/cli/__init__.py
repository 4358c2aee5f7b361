"""The command line over vectors."""
