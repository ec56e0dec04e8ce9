"""Backends by name: bptt's three, and one of a package that the command allows."""

import sys
from pathlib import Path

import pytest

import bptt
from bptt.configuration.errors import ConfigurationError
from bptt.sweeps.workers.backends import BACKENDS, load_backend
from bptt.sweeps.workers.pool import Workers, WorkerSettings, read_worker_settings
from tests.sweeps.working import double

OWN = "my_pools.own.open_here"


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that leaves a mark when it is imported, and computes in this process."""
    (tmp_path / "my_pools").mkdir()
    (tmp_path / "my_pools" / "own.py").write_text(
        "from pathlib import Path\n"
        "from bptt.sweeps.workers.processes import Processes\n"
        "Path('imported').touch()\n"
        "asked = []\n"
        "no_function = 3\n"
        "def open_here(address, workers, most):\n"
        "    asked.append((address, workers, most))\n"
        "    return Processes(1)\n",
        encoding="utf-8",
    )
    (tmp_path / "my_pools" / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_pools"]:
        monkeypatch.delitem(sys.modules, name)


def refusal(backend: str, *allow: str, **settings: object) -> str:
    with (
        pytest.raises(ConfigurationError) as error,
        Workers(read_worker_settings({"backend": backend, **settings}, allow)),
    ):
        pass
    (line,) = error.value.lines
    return line


def test_the_table_names_what_is_there() -> None:
    assert list(BACKENDS) == ["loky", "dask", "ray", "slurm"]
    for shipped in BACKENDS.values():
        module, _, function = shipped.path.rpartition(".")
        path = Path(bptt.__file__).parents[1] / f"{module.replace('.', '/')}.py"
        assert f"def {function}(" in path.read_text(encoding="utf-8")


def test_a_backend_that_the_command_allows_computes() -> None:
    settings = read_worker_settings({"backend": OWN, "workers": 3, "address": "somewhere"}, ["my_pools"])
    assert settings == WorkerSettings(backend=OWN, workers=3, address="somewhere")
    with Workers(settings, tasks=2) as workers:
        assert set(workers.run(double, range(5))) == {0, 2, 4, 6, 8}
    assert sys.modules["my_pools.own"].asked == [("somewhere", 3, 2)]


@pytest.mark.parametrize("allow", [(), ("my_poo",), ("my_pools.own",)])
def test_nothing_is_imported_that_the_command_does_not_allow(allow: tuple[str, ...]) -> None:
    assert refusal(OWN, *allow) == (
        f"hydra.launcher.backend={OWN}: must be one of loky, dask, ray, slurm, or a function of a package that the"
        " command allows: `bptt train` with allow=[my_pools], any other command with --allow my_pools"
    )
    with pytest.raises(ConfigurationError, match="or a function of a package that the command allows"):
        bptt.sweep(["task=xor", "seed=0,1", f"hydra.launcher.backend={OWN}", "tracking.enabled=false"])
    assert not Path("imported").exists()


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ("lokky", "must be one of loky, dask, ray, slurm; did you mean loky?"),
        ("my_pools", "must be one of loky, dask, ray, slurm"),
        ("my_pools/own.open_here", "must be one of loky, dask, ray, slurm"),
        ("my_pools.gone.open_here", "a package is missing (my_pools.gone)"),
        ("my_pools.broken.open_here", "can't be imported (ZeroDivisionError: division by zero)"),
        (
            "my_pools.own.nowhere",
            "can't be imported (AttributeError: module 'my_pools.own' has no attribute 'nowhere')",
        ),
        ("my_pools.own.no_function", "must be a function that opens workers"),
    ],
)
def test_what_is_no_backend_is_told_in_a_line(backend: str, says: str) -> None:
    assert refusal(backend, "my_pools") == f"hydra.launcher.backend={backend}: {says}"


def test_a_backend_of_its_own_trains_a_sweep() -> None:
    swept = bptt.sweep(
        ["task=xor", "train.updates=9", "seed=0,1", "tracking.enabled=false", "report=false", "allow=[my_pools]",
         f"hydra.launcher.backend={OWN}"]
    )  # fmt: skip
    assert set(swept.runs["status"]) == {"FINISHED"}
    assert load_backend(OWN) is sys.modules["my_pools.own"].open_here
    assert sys.modules["my_pools.own"].asked
