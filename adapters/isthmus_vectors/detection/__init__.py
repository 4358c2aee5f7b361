"""Anomaly detection in tables. ``detector`` has the public class, ``fit`` trains and calibrates, ``ensemble`` is the
network, ``grouped`` and ``masking`` its parts, ``scoring`` scores rows, ``storage`` writes and reads bundles."""

from isthmus_vectors.detection.detector import Detector

__all__ = ["Detector"]
