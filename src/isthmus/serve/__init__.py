"""Fitted models over HTTP: routes, batches, limits and the page. Needs the extra ``serve``.

No file here names a domain: what a model answers is the ``Offer`` of its plugin, see ``isthmus.actions``.
"""
