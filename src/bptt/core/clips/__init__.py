"""Clips: what bounds a gradient before the optimizer takes it."""
