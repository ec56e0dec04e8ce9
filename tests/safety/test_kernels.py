"""The kernels of others: a planted one that would run when it is unpickled is not loaded, by whichever way."""

import ast
import os
import pickle
import pwd
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import bptt
from bptt.cli.main import main
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import check_kernel_folder, find_gap
from bptt.core.clips.none import no_clip
from bptt.core.kernel import LANES, kernel_folder
from bptt.sweeps.workers.calls import WorkersError, answer
from bptt.sweeps.workers.kernels import compile_kernels, list_shipped_kernels
from bptt.sweeps.workers.pool import Workers, WorkerSettings
from tests.doctor.faults import NOBODY
from tests.safety.planted import Planted
from tests.test_imports import MODULES, imports

pytestmark = pytest.mark.filterwarnings("ignore")
S = ["task=leftbit", "train.updates=20", "train.log_points=2", "tracking.enabled=false"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for kernels, from which those are loaded too that this process had from elsewhere."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("another user's file takes root")
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("BPTT_CACHE_TRUST", raising=False)
    monkeypatch.chdir(tmp_path)
    kernels = [recipe.kernel for recipe in list_shipped_kernels()]
    compiled = {kernel: dict(kernel._compiled) for kernel in kernels}
    for kernel in kernels:
        vars(kernel).pop("_cache", None)
        kernel._compiled.clear()
    yield tmp_path / "cache"
    for kernel in kernels:
        vars(kernel).pop("_cache", None)
        kernel._compiled.update(compiled[kernel])


@pytest.fixture
def witness(cache: Path) -> Path:
    """Where the index of a kernel is planted that makes it; it and its folders are the user's own."""
    index = Path(no_clip._cache._cache_file._index_path)
    assert index.parent == kernel_folder()
    index.parent.mkdir(parents=True)
    index.write_bytes(pickle.dumps(Planted(cache.parent / "witness")))
    return cache.parent / "witness"


def index() -> Path:
    return Path(no_clip._cache._cache_file._index_path)


def give(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@contextmanager
def as_user(number: int) -> Iterator[None]:
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_is_planted_runs_when_it_is_loaded(witness: Path) -> None:
    assert not no_clip.is_kept(LANES)
    assert witness.exists()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (lambda cache: cache, "{cache}"),
        (lambda _: kernel_folder(), "{folder}"),
        (lambda _: index(), "{index}"),
        (lambda cache: cache.parent, "{parent}"),
    ],
    ids=["the folder", "the version's", "the file", "the one above"],
)
def test_another_user_s_kernels_are_not_loaded(
    given: Callable[[Path], Path], shown: str, cache: Path, witness: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    give(given(cache))
    where = shown.format(cache=cache, folder=kernel_folder(), index=index(), parent=cache.parent)
    says = (
        f"BPTT_CACHE_DIR={cache}: kernels are code, and {where} belongs to nobody; name a folder of your own with"
        " BPTT_CACHE_DIR=…, or trust it with BPTT_CACHE_TRUST=nobody, if that is meant"
    )
    for command in (["train", *S], ["train", "-m", *S, "seed=0,1"], ["warm"], ["plan", "-m", *S], ["check-gradients"]):
        assert main(command) == 2
        assert capsys.readouterr().err.strip() == says
    for name in ("resume", "reproduce", "confirm", "measure"):
        assert main([name, "nothing"]) == 2
        assert capsys.readouterr().err.strip() == says
    with pytest.raises(ConfigurationError) as refused:
        bptt.sweep([*S, "seed=0,1"])
    assert str(refused.value) == says
    with pytest.raises(ConfigurationError):
        compile_kernels([])
    assert main(["doctor"]) == 1
    assert f"{where} belongs to nobody" in " ".join(capsys.readouterr().out.split())
    assert not witness.exists()
    assert not (cache.parent / "multirun").exists()


def test_a_sweep_ends_where_a_worker_finds_another_user_s_kernels(cache: Path, witness: Path) -> None:
    give(kernel_folder())
    found = answer(0, compile_kernels, [], None)
    assert found.refused is not None
    assert f"{kernel_folder()} belongs to nobody" in found.refused
    with (
        Workers(WorkerSettings(workers=1)) as workers,
        pytest.raises(WorkersError, match=f"{cache}: kernels are code"),
    ):
        list(workers.run(compile_kernels, [[]]))
    assert not witness.exists()


def test_links_on_the_way(cache: Path, witness: Path, tmp_path: Path) -> None:
    theirs, real = tmp_path / "theirs", tmp_path / "real"
    theirs.mkdir()
    cache.rename(real)
    (theirs / "link").symlink_to(real)
    cache.symlink_to(theirs / "link")
    check_kernel_folder()
    give(theirs / "link")
    assert find_gap(cache).says == f"{theirs / 'link'} belongs to nobody"  # type: ignore[union-attr]
    (theirs / "link").unlink()
    (theirs / "link").symlink_to("../real")
    check_kernel_folder()
    give(theirs)
    assert find_gap(cache).says == f"{theirs} belongs to nobody"  # type: ignore[union-attr]
    os.chown(theirs, 0, 0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept = kernel_folder() / index().name
    kept.rename(elsewhere / "index")
    kept.symlink_to(elsewhere / "index")
    check_kernel_folder()
    give(elsewhere)
    assert find_gap(cache).says == f"{elsewhere} belongs to nobody"  # type: ignore[union-attr]
    (theirs / "link").unlink()
    (theirs / "link").symlink_to(cache)  # a circle leads nowhere
    check_kernel_folder()
    assert not witness.exists()


def test_a_folder_that_is_everybody_s(cache: Path, witness: Path) -> None:
    cache.parent.chmod(0o777)
    assert find_gap(cache).says == f"everybody can write to {cache.parent}"  # type: ignore[union-attr]
    cache.parent.chmod(0o1777)  # as /tmp
    check_kernel_folder()
    give(cache)
    assert find_gap(cache).says == f"{cache} belongs to nobody"  # type: ignore[union-attr]
    os.chown(cache, 0, 0)
    cache.chmod(0o1777)
    with pytest.raises(ConfigurationError, match=rf"everybody can write to {cache}; chmod go-w {cache}, or name a"):
        check_kernel_folder()
    assert not witness.exists()


def test_a_folder_that_is_not_there_is_made_before_another_user_can(cache: Path) -> None:
    cache.parent.chmod(0o1777)
    check_kernel_folder()
    assert kernel_folder().stat().st_uid == 0


def test_a_cache_that_root_has_warmed_serves_everybody(cache: Path, witness: Path) -> None:
    for path in cache.parents:
        if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001:
            path.chmod(0o755)
    with as_user(NOBODY):
        assert find_gap(cache) is None
    os.chown(cache, 1, 1)
    with as_user(NOBODY):
        assert find_gap(cache).owner == pwd.getpwuid(1).pw_name  # type: ignore[union-attr]
    assert not witness.exists()


def test_a_colleague_s_cache_is_loaded_where_that_is_said(
    cache: Path, witness: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (cache, kernel_folder(), index()):
        os.chown(path, 1, 1)
    monkeypatch.setenv("BPTT_CACHE_TRUST", "nobody")
    assert find_gap(cache).owner == "daemon"  # type: ignore[union-attr]
    for trusted in ("daemon", " nobody, daemon", "1", "@daemon", "@1"):
        monkeypatch.setenv("BPTT_CACHE_TRUST", trusted)
        check_kernel_folder()
    for wrong, says in {
        "daemno": "BPTT_CACHE_TRUST=daemno: there is no such user; did you mean daemon?",
        "@daemno": "BPTT_CACHE_TRUST=@daemno: there is no such group; did you mean @daemon?",
        "root,@99999": "BPTT_CACHE_TRUST=@99999: there is no such group",
    }.items():
        monkeypatch.setenv("BPTT_CACHE_TRUST", wrong)
        with pytest.raises(ConfigurationError) as refused:
            check_kernel_folder()
        assert str(refused.value).startswith(says)
    assert not witness.exists()


def test_a_group_counts_by_its_members(cache: Path, witness: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With umask 002 all that a user makes can be written by a group; it is nobody's but the user's own, or a lab's."""
    for path in cache.parents:
        if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001:
            path.chmod(0o755)
    os.chown(cache, 1, 1)
    cache.chmod(0o775)
    with as_user(1):
        assert find_gap(cache) is None
    cache.chmod(0o755)
    os.chown(cache, 1, NOBODY)
    with as_user(1):
        assert find_gap(cache) is None
    cache.chmod(0o775)
    with as_user(1):
        gap = find_gap(cache)
        assert gap is not None
        assert gap.says.startswith("the group ")
        assert gap.is_mode
        monkeypatch.setenv("BPTT_CACHE_TRUST", str(gap.owner))
        assert find_gap(cache) is None
    assert not witness.exists()


def test_an_access_list_is_not_overlooked(cache: Path, witness: Path) -> None:
    nobody_too = [(1, 7, 2**32 - 1), (2, 7, NOBODY), (4, 5, 2**32 - 1), (16, 7, 2**32 - 1), (32, 5, 2**32 - 1)]
    text = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in nobody_too)
    try:
        os.setxattr(cache, "system.posix_acl_access", text)
    except OSError:
        pytest.skip("this file system has no access lists")
    assert find_gap(cache).says == f"others can write to {cache}, by its access control list"  # type: ignore[union-attr]
    assert not witness.exists()


def test_numba_does_not_look_elsewhere(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from numba import config

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache.parent / "elsewhere"))
    assert index().parent == kernel_folder()
    monkeypatch.setattr(config, "CACHE_LOCATOR_CLASSES", "InTreeCacheLocator")
    with pytest.raises(ConfigurationError, match=r"^NUMBA_CACHE_LOCATOR_CLASSES=InTreeCacheLocator: .*; unset it$"):
        check_kernel_folder()


#: What of the core loads kernels, when it is called.
LOADERS = {
    "bptt.core.evaluation": {"predict", "Evaluation"},
    "bptt.core.gradcheck": {"check_gradients"},
    "bptt.core.lane_block": {"single_lane"},
    "bptt.core.random": {"Generator", "make_generator"},
    "bptt.core.training": {"train", "Training", "needs_compiling"},
}
#: Called by `cli.hydra_app`, at the end of what was trained, by `Checker` or with the runs that it made, or by
#: `sweeps.single` and sweepers.
BEHIND_A_CHECK = {
    "bptt.cli.check_gradients",
    "bptt.cli.summary",
    "bptt.configuration.checks",
    "bptt.sklearn.estimator",
    "bptt.sklearn.lane_search",
    "bptt.sklearn.samples",
    "bptt.sweeps.jobs.plan",
    "bptt.sweeps.planning",
    "bptt.sweeps.search.objectives",
}


def test_who_loads_kernels_has_asked_whose_they_are() -> None:
    loading, asking = set(), set()
    for module, path in MODULES.items():
        if module.startswith(("bptt.core", "bptt.tasks")):
            continue
        if {"bptt.configuration.owners", "bptt.sweeps.workers.kernels"} & {*imports(path)}:
            asking.add(module)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and LOADERS.get(node.module or "", set()) & {
                alias.name for alias in node.names
            }:
                loading.add(module)
    assert loading - asking == BEHIND_A_CHECK
    assert {"bptt.sweeps.session", "bptt.sweeps.execution", "bptt.export.network", "bptt.analysis.surface"} <= loading
