"""Schemas of the requests and replies of Lurcher's own routes."""
