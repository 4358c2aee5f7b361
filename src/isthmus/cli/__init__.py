"""The command line: finds a plugin and runs its commands. Apart from plugins, only this package prints."""

from isthmus.cli.app import main

__all__ = ["main"]
