"""Actions of fitted models for other programs, the same over HTTP and as tools of agents.

A plugin returns an ``Offer`` for a face (``Plugin.serving``): its actions, each of which turns a checked request into a
JSON document. ``isthmus.actions.requests`` has what requests share; it needs pydantic, which this module does not
import.
"""

from isthmus.actions.action import Action, Offer

__all__ = ["Action", "Offer"]
