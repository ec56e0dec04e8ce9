from collections.abc import Callable
from pathlib import Path

import pytest

from bptt.tracking.store.address import resolve_address
from bptt.tracking.store.base import Store
from bptt.tracking.store.opening import open_store
from bptt.tracking.store.sweep_page import NewestSweep, find_newest_sweep, make_children_path

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


def test_the_newest_sweep_of_all_experiments(store_folder: Path, open_experiment: Callable[[], Store]) -> None:
    store = open_experiment()
    other = open_store(store.asked, "another experiment")
    address = resolve_address(store.asked)

    def add(where: Store, began: int, **tags: str) -> str:
        named = {key.replace("_", "."): value for key, value in tags.items()}
        in_the_future = 10**13 + began  # other tests' sweeps stand in the same store
        return where.client.create_run(where.experiment_id, in_the_future, named).info.run_id

    add(store, 1000)
    first = add(store, 2000, bptt_sweep="first")
    add(store, 2500, bptt_sweep="first", mlflow_parentRunId=first)
    assert find_newest_sweep(address) == NewestSweep(name="first", path=make_children_path(store.experiment_id, first))
    second = add(other, 3000, bptt_sweep="it's the 2nd", bptt_view="/#/somewhere")
    add(store, 4000)
    add(store, 5000, bptt_sweep="first", mlflow_parentRunId=first)
    assert find_newest_sweep(address) == NewestSweep(name="it's the 2nd", path="/#/somewhere")
    other.client.delete_run(second)
    assert find_newest_sweep(address) == NewestSweep(name="first", path=make_children_path(store.experiment_id, first))


def test_a_store_that_does_not_say(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database")
    assert find_newest_sweep(resolve_address(f"sqlite:///{tmp_path}/mlflow.db")) is None
    assert find_newest_sweep(resolve_address("http://127.0.0.1:9")) is None
