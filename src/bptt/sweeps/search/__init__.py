"""Searches with Optuna, and successive halving."""
