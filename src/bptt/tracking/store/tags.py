"""The tags of runs in the store, MLflow's own and bptt's: what they are called is written here alone."""

from typing import Final

#: By which a run is found again when the process that began it died before it could note the run's id; no two runs
#: have the same.
KEY_TAG: Final = "bptt.key"

#: A sweep's name, of its own run and of those below it.
SWEEP_TAG: Final = "bptt.sweep"

#: Of a run below another: the id of that.
PARENT_TAG: Final = "mlflow.parentRunId"

#: Of each run that a sweep has, trained in it or taken from an earlier one, with the id of the sweep's own run behind
#: it: the setting that it has there. A run has one for each of its sweeps.
SETTING_TAG: Final = "bptt.setting."

DIGEST_TAG: Final = "bptt.digest"

OUTCOME_TAG: Final = "bptt.outcome"

#: Of a run that was trained to choose a tuned value, or to confirm the best setting: which.
STAGE_TAG: Final = "bptt.stage"

#: Of a run that a search stopped.
PRUNED_TAG: Final = "bptt.pruned"

#: Of a sweep's own run: the path of its page among MLflow's.
VIEW_TAG: Final = "bptt.view"

#: Of a sweep's own run: the setting that did best, of each condition.
BEST_TAG: Final = "bptt.best"

#: Of an experiment: what the page of the sweep shows whose own run's id stands behind it.
SHARED_VIEW_TAG: Final = "mlflow.sharedViewState."

#: What a run's name is in MLflow's pages.
NAME_TAG: Final = "mlflow.runName"

#: A description in Markdown.
NOTE_TAG: Final = "mlflow.note.content"

USER_TAG: Final = "mlflow.user"

#: The command that began a run.
COMMAND_TAG: Final = "mlflow.source.name"

SOURCE_TYPE_TAG: Final = "mlflow.source.type"

COMMIT_TAG: Final = "mlflow.source.git.commit"

#: Whether the program's work tree differed from its commit.
DIRTY_TAG: Final = "bptt.git.dirty"

#: With a package's name behind it: its version.
VERSION_TAG: Final = "bptt.version."
