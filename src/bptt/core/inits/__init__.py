"""Starts: where weights begin."""
