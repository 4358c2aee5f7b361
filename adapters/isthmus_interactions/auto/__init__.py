"""Which model: ``auto``, a contest among users who were held out."""
