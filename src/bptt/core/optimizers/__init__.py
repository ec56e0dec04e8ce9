"""Optimizers, one file each, with its paper."""
