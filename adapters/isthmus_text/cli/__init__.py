"""The command line of the text adapter."""
