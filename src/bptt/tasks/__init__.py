"""Where sequences come from: one task per file, each a frozen dataclass as `bptt.core.run.Task` describes it."""
