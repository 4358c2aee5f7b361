"""isthmus: one narrow bridge (shared autoencoder cores) between many lands (interactions, text, images, vectors).

    records ─ Adapter ─▶ Batch ─ Corruption ─ Encoder ─▶ hidden ─ Bottleneck ─▶ Code ─ Decoder ─▶ decoded ─ Readout · Likelihood ─▶ nats
                                                                          │                          │
                                                                     Code.point               Readout.vectors
                                                                          └───────────▶ Index ◀──────┘
                                                                                          └─▶ Neighbours ─ Task ─▶ answers

Every arrow is one protocol (``isthmus.protocols``); every protocol is one folder or file. Importing this package imports
nothing heavy. Start with ``isthmus_interactions.Recommender``, or with ``isthmus demo`` on the command line.
"""  # noqa: E501

from importlib.metadata import version

__version__ = version("isthmus")
