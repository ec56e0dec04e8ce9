"""What was recorded, read back from a folder or a store."""
