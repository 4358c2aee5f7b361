"""Fitted models over HTTP: routes, batches, limits and the page. Needs the extra ``serve``.

No file here names a domain: the actions of a model are in the ``Offer`` of its plugin, see ``isthmus.actions``.
"""
