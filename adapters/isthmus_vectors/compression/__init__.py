"""Parts of ``Compressor``: search among codes, and the quality of codes of each length."""
