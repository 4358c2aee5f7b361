"""Trained modules as ONNX graphs with dynamic shapes, checked in onnxruntime before they are handed out.

Importing this package imports none of the libraries of the extra ``onnx``.
"""

from isthmus.onnx.graph import MODEL as MODEL
from isthmus.onnx.graph import Graph, write, write_new

__all__ = ["Graph", "write", "write_new"]
