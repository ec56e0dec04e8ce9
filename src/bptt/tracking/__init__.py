"""What is kept of a run, and where: the MLflow store, a run's record in it, and the files a run leaves.

Only this package imports mlflow, and only inside functions: the import takes one to two seconds.
"""
