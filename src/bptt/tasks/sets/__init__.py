"""Fixed sets that are learned whole."""
