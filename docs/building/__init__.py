"""What `make docs` adds to the pages: mathematics as MathML, and the reference, made from the program itself."""
