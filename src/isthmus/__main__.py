"""``python -m isthmus``: the command line, for this Python."""

import sys

from isthmus.cli import main

if __name__ == "__main__":
    sys.exit(main())
