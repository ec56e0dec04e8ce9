"""What trained networks say of sequences, in the data's own units: of new data, and of evaluation and test sets."""
