"""What a fitted model answers to other programs, the same over HTTP and as tools of agents.

A plugin hands out an ``Offer`` for a face (``Plugin.serving``): its actions, each with a checked request and a JSON
document as the answer. ``isthmus.actions.requests`` has what requests share; it needs pydantic, which this module does
not import.
"""

from isthmus.actions.action import Action, Offer

__all__ = ["Action", "Offer"]
