"""Strings of symbols: bits, brackets, letters, words."""
