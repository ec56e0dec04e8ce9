"""The store: one place that asks whether it is a database or a server."""
