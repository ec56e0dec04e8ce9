"""A sweep's ready-made page in MLflow."""
