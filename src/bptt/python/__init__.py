"""bptt from Python: what a notebook or a script calls, and what it gets back; `bptt` itself has the names."""
