"""The Model Context Protocol (MCP), by which language models call tools, over HTTP and over a pipe.

Without state: a message is answered from what it says, as the protocol's revision of 2026-07-28 has it. Those
before it begin with ``initialize``, whose answer needs no memory either. So there is no session to keep, and
no need of the official SDK, which would add 0.8 s of CPU time and 27 MB to a start.
"""
