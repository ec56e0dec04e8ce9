"""Processor, packages, folders, variables, kernels: what is wrong with them, and what mends it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bptt.core.kernel import kernel_folder, kernel_hash
from bptt.doctor import machine, program
from bptt.doctor.finding import Finding, Situation
from bptt.sweeps.workers import kernels as warming
from tests.doctor.faults import NOBODY, carried_out, folder_of_nobody, of, only_posix, wrong
from tests.program import Folder

only_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="another user's file takes root")


def in_folder(folder: Path, **variables: str) -> list[Finding]:
    return list(machine.examine_folders(Situation(folder=folder, variables=variables)))


@only_posix
def test_a_folder_that_cannot_be_written() -> None:
    with folder_of_nobody() as folder:
        folder.chmod(0o555)
        (trouble,) = wrong(in_folder(folder))
        assert (trouble.subject, trouble.says) == ("current folder", f"{folder}: can't be written: Permission denied")
        carried_out(trouble.command, Path("/"))
        assert wrong(in_folder(folder)) == []
        assert list(folder.iterdir()) == []


@only_root
def test_another_user_s_folder() -> None:
    with folder_of_nobody() as folder:
        os.seteuid(0)
        (folder / "multirun").mkdir(mode=0o755)
        os.seteuid(NOBODY)
        (trouble,) = wrong(in_folder(folder))
        assert trouble.command == f'sudo chown "$(id -un)" {folder}/multirun'


def test_temporary_files_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (trouble,) = wrong(in_folder(tmp_path, TMPDIR=str(tmp_path / "a b")))
    assert trouble.says == f"TMPDIR={tmp_path}/a b: there is no such folder"
    carried_out(trouble.command, tmp_path)
    assert wrong(in_folder(tmp_path, TMPDIR=str(tmp_path / "a b"))) == []


@pytest.mark.parametrize(("free", "mark"), [(5.1e9, "ok"), (4.9e9, "note"), (4.9e8, "wrong")])
def test_a_disk_that_is_almost_full(free: float, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "disk_usage", lambda _: type("usage", (), {"free": free}))
    assert of(in_folder(tmp_path), "disk").mark == mark


def test_variables_that_matter() -> None:
    given = {
        "MLFLOW_TRACKING_URI": "postgresql://me:secret@host/db",
        "MLFLOW_TRACKING_TOKEN": "secret",
        "OMP_NUM_THREADS": "3",
        "NUMBA_DISABLE_JIT": "1",
        "NUMBA_CPU_NAME": "generic",
        "BPTT_SIMD_WIDTH": "16",
        "EDITOR": "ed",
    }
    found = list(program.examine_variables(Situation(variables=given)))
    assert "secret" not in repr(found)
    assert {finding.subject: (finding.mark, finding.command) for finding in found} == {
        "MLFLOW_TRACKING_URI": ("ok", ""),
        "MLFLOW_TRACKING_TOKEN": ("ok", ""),
        "OMP_NUM_THREADS": ("ok", ""),
        "NUMBA_DISABLE_JIT": ("wrong", "unset NUMBA_DISABLE_JIT"),
        "NUMBA_CPU_NAME": ("note", "unset NUMBA_CPU_NAME"),
        "BPTT_SIMD_WIDTH": ("wrong", "unset BPTT_SIMD_WIDTH"),
    }
    assert of(program.examine_variables(Situation()), "variables").mark == "ok"


def test_a_package_that_does_not_fit() -> None:
    assert program._examine_needed(Requirement("numpy>=2.1,<3")) is None
    found = program._examine_needed(Requirement("numpy<1"))
    assert found is not None
    assert found.says.endswith("; bptt needs <1")
    assert found.command.endswith("-m pip install 'numpy<1'")
    missing = program._examine_needed(Requirement("no_such_package"))
    assert missing is not None
    assert missing.says.startswith("not installed")


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_what_a_cgroup_allows(files: dict[str, str], limit: float | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine._read_cgroup_limit(tmp_path) == limit


def test_narrow_vectors_are_noted() -> None:
    assert machine._examine_vectors(8, 8).mark == "ok"
    assert machine._examine_vectors(4, 8).command == "unset BPTT_SIMD_WIDTH"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for kernels, into which those look too that were called before in this process."""
    kernel_hash()  # whose sources would be noted in that folder, were it asked for first within it
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path / "cache"))
    _forget_folders()
    yield tmp_path / "cache"
    _forget_folders()


def _forget_folders() -> None:
    for recipe in warming.list_shipped_kernels():
        vars(recipe.kernel).pop("_cache", None)


def of_kernels() -> list[Finding]:
    return list(machine.examine_kernels(Situation()))


ONE_KERNEL = """
import bptt.sweeps.workers.kernels as warming
from bptt.core.clips.none import no_clip
one = [recipe for recipe in warming.list_shipped_kernels() if recipe.kernel is no_clip]
warming.list_shipped_kernels = lambda: one
"""


@pytest.mark.slow
def test_kernels_that_are_not_there_are_compiled(tmp_path: Path) -> None:
    def says(*arguments: str) -> str:
        done = Folder(tmp_path).bptt(*arguments, first=ONE_KERNEL, BPTT_CACHE_DIR=str(tmp_path / "cache"))
        assert done.returncode == 0, done.stderr
        return " ".join(done.stdout.split())

    assert "note compiled 0 of 1 that ship with bptt are compiled" in (before := says("doctor"))
    assert before.endswith("bptt warm nothing is wrong")
    assert not (tmp_path / "cache").exists()
    says("warm", "--workers", "1")
    assert "ok compiled 1 of 1 that ship with bptt are compiled" in says("doctor")


def test_kernels_of_other_versions_can_go(cache: Path) -> None:
    (cache / "0123456789abcdef").mkdir(parents=True)
    (cache / "0123456789abcdef" / "kernel.nbc").write_bytes(b"x" * 2000)
    (cache / "notes").mkdir()
    found = of(of_kernels(), "other versions")
    assert (found.mark, found.says) == ("note", "kernels of 1 other version, 2 KB")
    carried_out(found.command, cache.parent)
    assert [path.name for path in cache.iterdir()] == ["notes"]
    assert [finding.subject for finding in of_kernels() if finding.mark != "ok"] == ["compiled"]


def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    cache.write_text("a file")
    folder = of(of_kernels(), "folder")
    assert (folder.mark, folder.says) == ("wrong", f"{cache}: can't be written: Not a directory")
    carried_out(folder.command, cache.parent)
    assert of(of_kernels(), "folder").mark == "ok"


@only_posix
@pytest.mark.parametrize("name", ["", "VERSION", "VERSION/kernel.nbi"])
def test_kernels_that_anybody_could_have_written(name: str, cache: Path) -> None:
    kernel_folder().mkdir(parents=True, mode=0o755)
    (kernel_folder() / "kernel.nbi").write_bytes(b"not looked at")
    path = cache / name.replace("VERSION", kernel_folder().name)
    path.chmod(0o777)
    found = of(of_kernels(), "whose they are")
    assert (found.mark, found.says) == ("wrong", f"everybody can write to {path}")
    assert [finding.subject for finding in of_kernels()] == ["folder", "whose they are"]
    carried_out(found.command, cache.parent)
    assert [finding.subject for finding in of_kernels()] == ["folder", "compiled"]


@only_posix
def test_a_folder_above_it_that_is_everybody_s(cache: Path) -> None:
    cache.parent.chmod(0o777)
    for _ in range(2):
        assert of(of_kernels(), "whose they are").command == "export BPTT_CACHE_DIR=~/bptt-kernels"
        cache.mkdir(mode=0o755, exist_ok=True)
    cache.parent.chmod(0o1777)
    assert [finding.subject for finding in of_kernels()] == ["folder", "compiled"]


@only_root
def test_kernels_of_another_user(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(mode=0o755)
    os.chown(cache, NOBODY, NOBODY)
    whose = of(of_kernels(), "whose they are")
    assert (whose.mark, whose.says) == ("wrong", f"{cache} belongs to nobody")
    assert whose.means.endswith("trust them with BPTT_CACHE_TRUST=nobody")
    monkeypatch.setenv("BPTT_CACHE_TRUST", "nobody")
    whose = of(of_kernels(), "whose they are")
    assert (whose.mark, whose.says) == ("note", "BPTT_CACHE_TRUST=nobody trusts others")
    monkeypatch.setenv("BPTT_CACHE_TRUST", "nobdoy")
    whose = of(of_kernels(), "whose they are")
    assert whose.mark == "wrong"
    assert whose.command == "unset BPTT_CACHE_TRUST"
    assert "did you mean nobody?" in whose.says
