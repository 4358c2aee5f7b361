"""Trained modules as ONNX graphs with dynamic shapes, checked in onnxruntime before they are handed out.

Importing this package imports none of the libraries of the extra ``onnx``.
"""

from isthmus.onnx.graph import MODEL, Graph, write

__all__ = ["MODEL", "Graph", "write"]
