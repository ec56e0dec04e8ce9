"""The store: what it has, and what is written there. Whether it is a database or a server, `opening` alone asks."""
