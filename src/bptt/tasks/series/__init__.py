"""Series in time that are to be foretold or followed."""
