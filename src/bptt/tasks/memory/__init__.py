"""What is to be kept over a distance."""
