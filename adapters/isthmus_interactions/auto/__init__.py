"""Which model: ``auto``, a contest among people who were held out."""
