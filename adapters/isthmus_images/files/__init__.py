"""Reads files, folders and arrays as pixels."""
