"""The command line of the vectors adapter."""
