"""``python -m lurcher`` is ``lurcher``."""

from lurcher.cli import main

main()
