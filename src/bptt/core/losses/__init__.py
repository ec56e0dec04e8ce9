"""Losses, and their gradients by the output."""
