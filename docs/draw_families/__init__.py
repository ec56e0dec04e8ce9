"""The pictures and tables of docs/families: what each choice does to the gradient's way through time."""
