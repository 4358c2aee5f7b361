"""Fitted models as tools of agents, by the Model Context Protocol. Needs the extra ``mcp``.

The tools are the actions that ``isthmus serve`` answers, with the same requests and the same documents. None of them
trains or changes a model.
"""
