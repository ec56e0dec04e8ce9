"""A sweep's results as a document that stands by itself: HTML, Markdown, and its tables as CSV and LaTeX."""
