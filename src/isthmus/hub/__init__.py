"""Bundles to the Hugging Face hub and back. Needs the extra ``hub``; importing this module imports nothing of it.

Nothing that is downloaded is executed: only the files that a manifest names are fetched, and they are verified against
it before anything reads them. A bundle of a recommender holds the interactions and the ids of its users, and one of
texts may hold the texts, so new repositories are private unless you say otherwise.
"""

from isthmus.hub.transfer import pull, push

__all__ = ["pull", "push"]
