"""What `make results` runs: shipped sweeps to docs/results."""
