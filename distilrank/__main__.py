"""``python -m distilrank``."""

import sys

from distilrank.cli import main

if __name__ == "__main__":
    sys.exit(main())
