"""A sweep while it goes on, and after it: how far it is, and a page of it."""
