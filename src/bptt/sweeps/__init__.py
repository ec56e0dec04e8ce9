"""Many runs as one: what is swept, composed quickly, trained in lanes, archived."""
