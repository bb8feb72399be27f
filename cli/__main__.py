"""``python -m cli`` is ``lurcher``."""

from cli import main

main()
