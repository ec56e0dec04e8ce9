"""Measurements at recorded updates, one file each."""
