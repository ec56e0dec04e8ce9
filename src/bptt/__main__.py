"""`python -m bptt`: the same as the command `bptt`."""

import sys

from bptt.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
