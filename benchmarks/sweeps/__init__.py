"""Whole sweeps, from the command to their end, beside the usual way: `python -m benchmarks.sweeps`."""
