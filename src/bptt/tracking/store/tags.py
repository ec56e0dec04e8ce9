"""The tag by which a run is found again when the process that began it died before it could note the run's id."""

from typing import Final

#: The tag; no two runs have the same key.
KEY: Final = "bptt.key"


SWEEP_TAG: Final = "bptt.sweep"


PARENT_TAG: Final = "mlflow.parentRunId"


DIGEST_TAG: Final = "bptt.digest"


OUTCOME_TAG: Final = "bptt.outcome"
