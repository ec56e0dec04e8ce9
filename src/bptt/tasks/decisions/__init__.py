"""Trials as experiments with animals have them."""
