"""Who computes: processes on this machine or a cluster."""
