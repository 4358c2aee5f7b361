"""The command line: a frame that finds a plugin and runs its commands. The only place that prints."""

from isthmus.cli.app import main

__all__ = ["main"]
