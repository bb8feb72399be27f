"""What makes the models: the only room with torch, behind the ``[train]`` extra."""
