"""Side by side with PyTorch and JAX, in one run: `python -m benchmarks`."""
