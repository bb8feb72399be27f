"""Fail points: named moments of a write at which a test can kill the process or raise.

Code that writes takes a ``FailPoint`` and calls it with the name of each moment at which two steps that
belong together are half done.
"""

from __future__ import annotations

from collections.abc import Callable

FailPoint = Callable[[str], object]

# The fail point outside of tests: a built-in function that has no effect.
carry_on: FailPoint = str
