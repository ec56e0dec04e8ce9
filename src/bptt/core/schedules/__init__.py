"""Schedules: the learning rate by update."""
