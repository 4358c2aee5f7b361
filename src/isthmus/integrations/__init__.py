"""Trainings and jobs of isthmus inside of other systems."""
