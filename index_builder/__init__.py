"""Offline: a corpus goes in, a bundle comes out."""
