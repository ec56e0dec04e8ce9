"""The parts of a report, in the order in which they stand there."""
