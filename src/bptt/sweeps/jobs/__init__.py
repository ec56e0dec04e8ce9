"""What is swept: a grid's grammar, its jobs, and how they fuse."""
