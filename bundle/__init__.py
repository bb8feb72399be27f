"""The artifact between offline and online: each file's reader and writer live in one module."""
