"""Several processes that serve one port: one of them writes, and what starts and ends them all."""
