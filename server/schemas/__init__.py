"""The shapes of requests and replies on our own routes."""
