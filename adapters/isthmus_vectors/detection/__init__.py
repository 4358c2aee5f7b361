"""Anomalies in tables. ``detector`` is the face, ``ensemble`` the network, ``grouped`` and ``masking`` its parts,
``scoring`` what it is asked, ``storage`` how it is kept."""

from isthmus_vectors.detection.detector import Detector

__all__ = ["Detector"]
