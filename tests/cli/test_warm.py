"""`bptt warm` compiles what is missing, all of it and nothing else."""

import io
import itertools
import os
import pickle
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bptt.cli.progress import show_counting
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.clips.none import no_clip
from bptt.core.elementwise import exp_each, sine_each
from bptt.core.inits.orthogonal import orthonormalize
from bptt.core.kernel import LANES, UNITS, Kernel
from bptt.core.lanes import fewest_lanes
from bptt.core.optimizers.gauss_newton import curve_along
from bptt.core.run import Run
from bptt.core.shapes import training
from bptt.core.shapes.training import ShapeKernel
from bptt.core.simd import WIDTH
from bptt.core.training import kernels_of
from bptt.sweeps.search.settings import Choices, Numbers, Space
from bptt.sweeps.workers import kernels
from bptt.sweeps.workers.kernels import Recipe, compile_kernel
from tests.core.discovering import components, example
from tests.core.making import make_model, make_run
from tests.lacking import copy_kernels

SMALL = ("experiment=outlace_leftbit", "train.updates=5")
BROKEN = """
from dataclasses import dataclass
from typing import ClassVar
from bptt.core.kernel import CLIP, Kernel

@CLIP()
def broken(gradient, count, hyper):
    return gradient.nothing_of_this_name

@dataclass(frozen=True, kw_only=True)
class Broken:
    kernel: ClassVar[Kernel] = broken
"""
#: All kernels but those that are made for a shape, which are taken where they are kept.
KEPT = "import bptt.core.kernel as k; k.Kernel.is_kept = lambda kernel, mode: not hasattr(kernel, 'shape')"
TRAINING = """
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.training import needs_compiling, train
small = {small}
run, *others = [
    check_configuration(compose([*small, *more])).run
    for more in (
        *([], ["seed=7"], ["task=xor"]),
        *(["model.hidden_size=9", "train.batch_size=4"], ["model=jordan", "train.batch_size=9"]),
    )
]
assert not needs_compiling([[run], *([other] for other in others)])
assert needs_compiling([[run] * 8]), "side by side they take others, which nobody asked for"
for each in (run, *others):
    train([each])
"""


def called(recipes: Sequence[Recipe]) -> set[tuple[Kernel, str]]:
    return {(recipe.kernel, mode) for recipe in recipes for mode in recipe.modes}


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_all_that_ships_is_all_that_any_run_calls() -> None:
    kinds = ("models", "losses", "optimizers", "clips")
    schedules, regularizers = (components(kind).values() for kind in ("schedules", "regularizers"))
    every = called(kernels.list_shipped_kernels())
    needed = set()
    for model, loss, optimizer, clip in itertools.product(*map(components, kinds)):
        if optimizer == "hessian_free" and (model in ("jordan", "leaky") or clip != "none"):
            continue  # refused
        run = make_run(
            model=make_model(model),
            loss=example(components("losses")[loss]),
            optimizer=example(components("optimizers")[optimizer]),
            clip=example(components("clips")[clip]),
        )
        needed |= {*kernels_of([run]), *kernels_of([run] * WIDTH)}
    for schedule, regularizer in itertools.product(schedules, regularizers):
        run = make_run(schedule=example(schedule), regularizer=example(regularizer))
        needed |= {*kernels_of([run]), *kernels_of([run] * WIDTH)}
    held = make_run(model=make_model("elman", recurrent_constraint="orthogonal"))
    needed |= {*kernels_of([held]), *kernels_of([held] * WIDTH)}
    # Of tasks, starts and settings, which call them before anything is trained.
    beside = {(exp_each, LANES), (sine_each, LANES), (orthonormalize, UNITS)}
    beside |= {(curve_along, mode) for mode in (LANES, UNITS)}  # of `bptt check-gradients`
    assert needed | beside == every


def test_a_long_sweep_has_kernels_for_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make_run(seed=seed, outputs=1) for seed in range(WIDTH + 1)]
    known = called(kernels.of_sweep(runs))
    monkeypatch.setattr(training, "_WORTH", 1)
    made = [recipe for recipe in kernels.of_sweep(runs) if not called([recipe]) <= known]
    assert [(type(recipe.kernel), recipe.modes) for recipe in made] == [(ShapeKernel, (m,)) for m in (LANES, UNITS)]
    assert all(pickle.loads(pickle.dumps(recipe)).kernel is recipe.kernel for recipe in made)


@pytest.mark.parametrize("lanes", [1, WIDTH, WIDTH + 1])
def test_a_sweep_has_what_its_runs_call_side_by_side(lanes: int) -> None:
    runs = [make_run(seed=seed) for seed in range(lanes)]
    other = make_run(model=make_model("gru"))
    assert called(kernels.of_sweep([other, *runs])) == {*kernels_of(runs), *kernels_of([other])}
    modes = {mode for recipe in kernels.of_sweep(runs) if recipe.kernel is no_clip for mode in recipe.modes}
    assert modes == {1: {UNITS}, WIDTH: {LANES}, WIDTH + 1: {LANES, UNITS}}[lanes]


def test_a_search_has_all_modes_of_what_it_may_call() -> None:
    large = make_run(model=make_model("lstm", hidden_size=200))
    assert fewest_lanes(large.model, 1) > WIDTH
    recipes = kernels.of_search([large])
    assert {kernel for kernel, _ in called(recipes)} == {kernel for kernel, _ in kernels_of([large])}
    assert all(set(recipe.modes) == set(recipe.kernel.signatures) for recipe in recipes)


def test_samples_of_a_search_have_each_choice() -> None:
    varied: dict[str, Numbers | Choices] = {
        "model": Choices(("gru", "lstm")),
        "a": Numbers(low=1, high=5),
        "b": Choices(("1", "2", "3")),
    }
    assert Space(("seed=1",), varied).samples() == [
        ["seed=1", "model=gru", "a=1", "b=1"],
        ["seed=1", "model=lstm", "a=1", "b=1"],
        ["seed=1", "model=gru", "a=1", "b=2"],
        ["seed=1", "model=gru", "a=1", "b=3"],
    ]


def test_a_search_is_asked_for_like_a_sweep(cold: Any) -> None:
    done = cold.bptt("warm", "sweep=optuna_adder", first=KEPT)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"18 kernels ready in .*: all were there\n", done.stdout)
    assert list(cold.path.iterdir()) == []


def test_a_kernel_of_another_processor_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path))

    def fresh() -> Kernel:
        return Kernel(no_clip.dispatcher.py_func, no_clip.signatures)

    assert not fresh().is_kept(UNITS)
    compile_kernel(fresh(), [UNITS])
    kernel = fresh()
    assert kernel.is_kept(UNITS)
    assert not kernel.is_kept(LANES)
    ours = kernel.dispatcher.targetctx.codegen().magic_tuple()
    other = SimpleNamespace(magic_tuple=lambda: (ours[0], "another", *ours[2:]))
    monkeypatch.setattr(kernel.dispatcher.targetctx, "codegen", lambda: other)
    assert not kernel.is_kept(UNITS)


def test_what_cannot_be_kept_is_not_called_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernels, "compile_kernel", lambda kernel, modes: None)
    monkeypatch.setattr(Kernel, "is_kept", lambda kernel, mode: False)
    outcome = kernels.compiled(kernels.list_shipped_kernels()[0])
    assert outcome.error is not None
    assert outcome.error.startswith("can't be kept")


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder with a choice whose kernel can't be compiled, and a cache of its own."""
    from tests.program import Folder

    folder = tmp_path_factory.mktemp("mine")
    (folder / "conf" / "clip").mkdir(parents=True)
    (folder / "conf" / "clip" / "broken.yaml").write_text("_target_: brittle.Broken\n")
    (folder / "brittle.py").write_text(BROKEN)
    return Folder(folder)


@pytest.mark.slow
def test_what_is_warm_is_not_compiled_again(mine: Any) -> None:
    lacking = ["no_clip", "momentum", "_count_right", "_slope", "_log_each"]
    copy_kernels(mine.path / "cache", [check_configuration(compose([*SMALL])).run], lacking)
    variables = {"BPTT_CACHE_DIR": str(mine.path / "cache"), "PYTHONPATH": str(mine.path)}
    own = ("--config-dir", "conf", "clip=broken", "allow=[brittle]")

    failed = mine.bptt("warm", "--workers", "2", *own, *SMALL, **variables)
    assert failed.returncode == 1, failed.stderr
    first, *rest = failed.stderr.splitlines()
    assert first == "compiling 5 kernels, 2 at a time"
    assert any(line.startswith("brittle.broken: TypingError: ") for line in rest)
    assert "nothing_of_this_name" in failed.stderr
    assert "Traceback" not in failed.stderr
    where = re.escape(str(mine.path / "cache"))
    assert re.fullmatch(
        rf"17 of 18 kernels ready in {where}: 4 compiled in \d+ s, 13 were there, 1 failed\n", failed.stdout
    )

    done = mine.bptt("warm", *SMALL, **variables)
    assert (done.returncode, done.stderr) == (0, "compiling 1 kernel, 1 at a time\n")
    assert re.fullmatch(rf"18 kernels ready in {where}: 1 compiled in \d+ s, 17 were there\n", done.stdout)

    kept = files(mine.path / "cache")
    again = mine.bptt("warm", *SMALL, **variables)
    assert (again.returncode, again.stderr) == (0, "")
    assert re.fullmatch(rf"18 kernels ready in {where}: all were there\n", again.stdout)

    trained = mine.bptt("--version", first=TRAINING.format(small=list(SMALL)), **variables)
    assert trained.returncode == 0, trained.stderr
    assert files(mine.path / "cache") == kept
    assert {path.name for path in mine.path.iterdir()} <= {"conf", "brittle.py", "__pycache__", "cache"}


def test_ctrl_c_ends_it_at_once(cold: Any) -> None:
    process = subprocess.Popen(
        cold.command("warm", "--workers", "2"),
        cwd=cold.path,
        env=cold.environment() | {"BPTT_CACHE_DIR": str(cold.path / "cache")},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "compiling 59 kernels, 2 at a time\n"
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")


def test_a_folder_that_cannot_be_written_is_told_in_one_line(cold: Any) -> None:
    (cold.path / "file").touch()
    done = cold.bptt("warm", BPTT_CACHE_DIR=str(cold.path / "file"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"{cold.path / 'file'}: can't be written: Not a directory; BPTT_CACHE_DIR=… names another folder for the"
        " kernels\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["model.hiden_size=3"], "model.hiden_size=3: unknown key; did you mean model.hidden_size?"),
        (["-m", "optimizer=adam,sdg"], "optimizer=sdg: no such choice; did you mean sgd?"),
        (["--workers", "0"], "bptt warm: argument --workers: 0: must be a whole number from 1 on;"),
    ],
)
def test_a_wrong_request_is_refused(arguments: list[str], says: str, cold: Any) -> None:
    done = cold.bptt("warm", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says)
    assert list(cold.path.iterdir()) == []


@pytest.mark.parametrize("command", ["warm", "plan"])
def test_another_launcher_is_refused(command: str, cold: Any) -> None:
    done = cold.bptt(command, "hydra/launcher=basic", "seed=1,2")
    assert done.returncode == 2
    assert done.stderr == "hydra/launcher=basic: must be lanes\n"


def test_lines_elsewhere_than_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bptt.cli.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with show_counting("compiling", "kernel", 4, 3, stream) as tell:
        for moment in (1.0, 5.0, 6.0, 20.0):
            now[0] = moment
            tell(1)
    assert stream.getvalue().splitlines() == ["compiling 4 kernels, 3 at a time", "   50 %  2 of 4 kernels"]


def test_a_bar_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with show_counting("compiling", "kernel", 2, 1, stream) as tell:
        tell(1)
        tell(1)
    assert "2/2" in stream.getvalue()


def test_another_process_finds_the_same_kernel() -> None:
    run: Run = make_run(model=make_model("gru"))
    names = [recipe.name for recipe in kernels.of_sweep([run])]
    assert names[1] == "bptt.core.models.gru.gru_forward"
    assert len(set(names)) == len(names) == 17
