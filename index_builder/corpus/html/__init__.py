"""HTML and XHTML pages: their text and its structure."""
