"""Statistics of runs: intervals, survival, what explains a variance."""
