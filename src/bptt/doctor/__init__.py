"""What `bptt doctor` looks at: one module for each concern, none of which makes or changes anything."""
