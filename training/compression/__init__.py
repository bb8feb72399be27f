"""Smaller and faster models: each module one function, model -> model."""
