"""Online: one loaded bundle behind HTTP."""
