"""From what a user asks for to what is trained: composed by Hydra, checked completely, built."""
