"""What lies on the disk: a run's folder, a block's, a sweep's."""
