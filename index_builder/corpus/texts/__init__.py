"""Text files, alone or in a folder: each kind of file becomes a text with its structure."""
