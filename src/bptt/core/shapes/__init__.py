"""Kernels made for one shape of network: sizes are constants, and an update is one piece of code."""
