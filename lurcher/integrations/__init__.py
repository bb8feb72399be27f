"""Lurcher in other people's frameworks: each module needs its framework, and is an extra of that name.

Nothing else imports this package.
"""
