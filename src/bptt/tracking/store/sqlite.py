"""A store in a SQLite file whose tables are of a version that is known here: nothing of it needs MLflow, which takes
seconds to import.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import uuid4

from bptt.tasks.own_data.preparation import DataNote
from bptt.tracking.store.base import Begun, Point
from bptt.tracking.store.connecting import RefusalError
from bptt.tracking.store.database import DatabaseStore
from bptt.tracking.store.datasets import describe_data, link_data
from bptt.tracking.store.tables import Connection, check_names, check_values, make_artifact_uri, make_rows, make_run_row
from bptt.tracking.store.tags import KEY_TAG, NAME_TAG, USER_TAG

# As MLflow has it, the last point is the one of the last update; of several there the latest, then the largest.
_IF_LATER: Final = (
    'ON CONFLICT ("key", run_uuid) DO UPDATE SET value = excluded.value, timestamp = excluded.timestamp,'
    " step = excluded.step, is_nan = excluded.is_nan"
    " WHERE (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)"
)


_REPLACED: Final = 'ON CONFLICT ("key", run_uuid) DO UPDATE SET value = excluded.value'


class SqliteStore(DatabaseStore):
    """A store whose tables are written and read as MLflow's client would, without it."""

    def begin_run(self, name: str, tags: Mapping[str, str], params: Mapping[str, str]) -> Begun:
        """See `Store.begin_run`."""
        tags, params = {**tags, NAME_TAG: name}, check_values("params", params)  # MLflow cuts no tag of a new run
        run_id, began = uuid4().hex, _now()
        with self._database.transaction() as connection:
            artifact_uri = make_artifact_uri(self._find_location(connection), run_id)
            user = tags.get(USER_TAG, "unknown")
            row = make_run_row(run_id, name, user, "RUNNING", began, None, artifact_uri, self.experiment_id)
            connection.insert("runs", [row])
            connection.insert("tags", [(key, value, run_id) for key, value in tags.items()])
            connection.insert("params", [(key, value, run_id) for key, value in params.items()])
        return Begun(run_id=run_id, artifact_uri=artifact_uri)

    def find_begun(self, run_id: str) -> Begun | None:
        """See `Store.find_begun`."""
        with self._database.connection() as connection:
            found = connection.read("SELECT artifact_uri, lifecycle_stage FROM runs WHERE run_uuid = ?", (run_id,))
            return Begun(run_id=run_id, artifact_uri=found[0][0], deleted=found[0][1] != "active") if found else None

    def read_steps(self, run_id: str) -> dict[str, frozenset[int]]:
        """See `Store.read_steps`."""
        with self._database.connection() as connection:
            found = connection.read('SELECT "key", step FROM metrics WHERE run_uuid = ?', (run_id,))
        names = dict.fromkeys(name for name, _ in found)
        return {name: frozenset(step for key, step in found if key == name) for name in names}

    def add(
        self,
        run_id: str,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """See `Store.add`."""
        check_names({point.name for point in points})
        params, tags = check_values("params", params or {}), check_values("tags", tags or {})
        rows = [
            row for point in points for row in make_rows(run_id, point.name, [point.value], [point.time], [point.step])
        ]
        with self._database.transaction() as connection:
            _check_active(connection, run_id)
            there = dict(connection.read('SELECT "key", value FROM params WHERE run_uuid = ?', (run_id,)))
            if changed := [key for key, value in params.items() if there.get(key, value) != value]:
                raise RefusalError(f"run {run_id} has another value of {changed[0]} already")
            connection.insert("params", [(key, params[key], run_id) for key in params if key not in there])
            connection.insert("metrics", rows, "ON CONFLICT DO NOTHING")
            connection.insert("latest_metrics", rows, _IF_LATER)
            connection.insert("tags", [(key, value, run_id) for key, value in tags.items()], _REPLACED)

    def note_data(self, run_id: str, notes: Sequence[DataNote]) -> None:
        """See `Store.note_data`."""
        with self._database.transaction() as connection:
            _check_active(connection, run_id)
            for note in notes:
                link_data(connection, run_id, self.experiment_id, describe_data(note))

    def set_status(self, run_id: str, status: str) -> None:
        """See `Store.set_status`."""
        ended = None if status == "RUNNING" else _now()
        with self._database.transaction() as connection:
            _check_active(connection, run_id)
            connection.run(
                "UPDATE runs SET status = ?, end_time = coalesce(?, end_time) WHERE run_uuid = ?",
                (status, ended, run_id),
            )

    def read_params(self, run_id: str) -> Iterable[str]:
        """See `Store.read_params`."""
        with self._database.connection() as connection:
            return [name for (name,) in connection.read('SELECT "key" FROM params WHERE run_uuid = ?', (run_id,))]

    def tag_experiment(self, key: str, value: str) -> None:
        """See `Store.tag_experiment`."""
        with self._database.transaction() as connection:
            self._find_location(connection)
            connection.run(
                'INSERT INTO experiment_tags ("key", value, experiment_id) VALUES (?, ?, ?)'
                ' ON CONFLICT ("key", experiment_id) DO UPDATE SET value = excluded.value',
                (key, value, int(self.experiment_id)),
            )

    def find_by_key(self, key: str) -> str | None:
        """See `Store.find_by_key`."""
        with self._database.connection() as connection:
            found = connection.read(
                "SELECT runs.run_uuid FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid"
                " WHERE tags.\"key\" = ? AND tags.value = ? AND experiment_id = ? AND lifecycle_stage = 'active'"
                " ORDER BY start_time DESC, runs.run_uuid LIMIT 1",
                (KEY_TAG, key, int(self.experiment_id)),
            )
        return str(found[0][0]) if found else None

    def _find_location(self, connection: Connection) -> str:
        found = connection.read(
            "SELECT artifact_location FROM experiments WHERE experiment_id = ? AND lifecycle_stage = 'active'",
            (int(self.experiment_id),),
        )
        if not found:
            raise RefusalError(f"The experiment {self.experiment_id} must be in the 'active' state")
        return str(found[0][0])


def _check_active(connection: Connection, run_id: str) -> None:
    found = connection.read("SELECT lifecycle_stage FROM runs WHERE run_uuid = ?", (run_id,))
    if not found or found[0][0] != "active":
        # In MLflow's words.
        lost = f"The run {run_id} must be in the 'active' state. Current state is deleted."
        raise RefusalError(lost if found else f"Run with id={run_id} not found")


def _now() -> int:
    return time.time_ns() // 1_000_000
