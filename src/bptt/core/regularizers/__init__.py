"""Regularizers: what is added to the gradient before it is clipped."""
