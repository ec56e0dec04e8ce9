"""The numerical core: equations and training as functions over arrays, compiled."""
