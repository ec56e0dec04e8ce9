"""What lanes leave beside their weights: histories, the network that is kept, how well it fits its targets."""
