"""Commands that hand a bundle to other people and other tools."""
