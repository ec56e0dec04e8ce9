"""A configuration names classes, and may come from others: what it can't do, from the command line or from a file."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode

from bptt.cli import export, reproduce, resume, sync
from bptt.configuration.build import check_configuration, resolve_config
from bptt.configuration.compose import Composer, add_folder, compose
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.vocabulary import find_conf_folder
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.grammar import expand
from bptt.tracking.provenance.digest import compute_digest, compute_version
from tests.recording import archived, jobs, results

MADE = "made-by-a-configuration"
#: What makes the witness where Hydra, or logging, calls it.
CALL = {"_target_": "pathlib.Path.mkdir", "self": {"_target_": "pathlib.Path", "_args_": [MADE]}}
LOGGED = {"version": 1, "formatters": {"x": {"()": "os.mkdir", "path": MADE}}}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path(MADE).exists()


def composer(folder: Path | None = None, name: str = "config") -> Composer:
    path = create_config_search_path(str(find_conf_folder()))
    if folder is not None:
        add_folder(path, folder)
    return Composer(ConfigLoaderImpl(path), name)


def written(name: str, content: Any, package: str = "_global_") -> Path:
    """A folder of choices with this file."""
    path = Path("theirs") / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# @package {package}\n{yaml.safe_dump(content)}", encoding="utf-8")
    return Path("theirs").absolute()


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call()
    return "\n".join(caught.value.lines)


@pytest.mark.parametrize(
    ("hydra", "says"),
    [
        ({"callbacks": {"x": CALL}}, "hydra.callbacks.x._target_=pathlib.Path.mkdir: is no class that may be named"),
        ({"callbacks": {"x": {**CALL, "_partial_": True}}}, "hydra.callbacks.x._target_=pathlib.Path.mkdir: is no"),
        ({"launcher": {"x": CALL}}, "Key 'x' not in 'LanesLauncherConf'"),
        ({"sweeper": {"x": [CALL]}}, "hydra.sweeper.x[0]._target_=pathlib.Path.mkdir: is no class"),
        ({"sweeper": {"params": {"x": CALL}}}, "hydra.sweeper.params.x._target_=pathlib.Path.mkdir: is no class"),
        ({"job_logging": LOGGED}, "hydra.job_logging.formatters.x.()=os.mkdir: must be one of logging.StreamHandler"),
        ({"hydra_logging": LOGGED}, "hydra.hydra_logging.formatters.x.()=os.mkdir: must be one of"),
        ({"job_logging": {"handlers": {"x": {"class": "logging.os.mkdir"}}}}, "x.class=logging.os.mkdir: must be one"),
        ({"job_logging": {"handlers": {"x": {"class": "${x}"}}}}, "x.class=${x}: must be one of"),
        (
            {"job_logging": {"handlers": {"x": {"class": "logging.StreamHandler", "stream": "ext://os.environ"}}}},
            "x.stream=ext://os.environ: names an object of a module",
        ),
        ({"job": {"env_set": {"LD_PRELOAD": "x.so"}}}, "hydra.job.env_set: variables are set before the command"),
        (
            {"callbacks": {"x": {"y": "${hydra.job_logging}"}}, "job_logging": {"z": "${hydra.callbacks}"}},
            "refers to itself",
        ),
        ({"callbacks": {"x": "${hydra.job.num}"}}, "hydra.callbacks.x=${hydra.job.num}: is no class"),
        ({"sweep": {"dir": "multirun/${oc.env:HOME}"}}, "hydra.sweep.dir=multirun/${oc.env:HOME}: the environment is"),
        ({"sweep": {"dir": "multirun/${${n}.env:HOME}"}, "help": {"n": "oc"}}, "can't"),
    ],
)
def test_hydra_calls_nothing_that_a_file_names(hydra: dict[str, Any], says: str) -> None:
    if "help" in hydra:  # a resolver's name that is put together while it is followed
        hydra = {"sweep": {"dir": "multirun/${${hydra.help.header}.env:HOME}"}, "help": {"header": "oc"}}
        says = "hydra.sweep.dir=multirun/${${hydra.help.header}.env:HOME}: the environment is not read here"
    folder = written("experiment/evil", {"hydra": hydra})
    assert says in refusal(lambda: composer(folder).compose(["experiment=evil"]))
    if "callbacks" in hydra:
        assert says in refusal(lambda: composer(folder).compose(["experiment=evil"], RunMode.MULTIRUN))


@pytest.mark.parametrize(
    "override",
    [
        "+hydra.callbacks.x={_target_: os.mkdir, path: made-by-a-configuration}",
        "+hydra.launcher.x={_target_: os.mkdir, path: made-by-a-configuration}",
        "hydra.searchpath=[pkg://antigravity]",
        "hydra.searchpath=[pkg://antigravity.more]",
        "+hydra.job_logging.formatters.x.class=os.mkdir",
        "+hydra.job.env_set={PYTHONPATH: x}",
    ],
)
def test_nor_what_the_command_line_names(override: str) -> None:
    assert override.lstrip("+").partition("=")[0] in refusal(lambda: composer().compose([override]))


def test_what_hydra_itself_brings_may_stay() -> None:
    for override in ("hydra/job_logging=default", "hydra/job_logging=stdout", "hydra/hydra_logging=default"):
        composer().compose([override])
    composer().compose(["hydra/launcher=basic", "hydra/sweeper=basic"], RunMode.MULTIRUN)
    composer().compose(["+hydra.callbacks.x={_target_: theirs.Callback}", "allow=[theirs]"])


def test_a_folder_of_choices_is_no_package() -> None:
    import sys

    folder = written("evil", {"defaults": ["config"], "hydra": {"searchpath": ["pkg://antigravity"]}})
    assert "imports antigravity" in refusal(lambda: composer(folder, "evil").compose([]))
    assert "antigravity" not in sys.modules
    assert composer().compose([f"hydra.searchpath=[file://{folder}]"]).seed == 0


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "os.mkdir", "path": MADE},
        {"_target_": "pathlib.Path", "_args_": [MADE]},
        {"_target_": "bptt.core.models.elman.os.mkdir"},
        {"_target_": "bptt.core.models.elman.Elman", "_partial_": True},
        {"_target_": "bptt.core.models.elman.Elman", "_args_": [1]},
        {"_target_": "bptt.core.models.elman.Elman", "_convert_": "all"},
        {"_target_": "bptt.core.models.elman.Elman", "_recursive_": False},
        {"_target_": "bptt.core.models.elman.Elman", "hidden_size": CALL},
        {"_target_": "bptt.core.models..elman.Elman"},
        {"_target_": "bptt.core.models.elman."},
        {"_target_": ["bptt.core.models.elman.Elman"]},
    ],
)
def test_a_component_is_one_of_bptt_s(node: dict[str, Any]) -> None:
    resolved = check_configuration(compose()).resolved
    assert "model" in refusal(lambda: check_configuration({**resolved, "model": node}))
    assert "init.input" in refusal(
        lambda: check_configuration({**resolved, "init": {**resolved["init"], "input": node}})
    )


def _checked(folder: Path, override: str) -> Any:
    return check_configuration(composer(folder).compose([override]))


def test_only_the_command_line_allows_a_package() -> None:
    for name, content in (
        ("experiment/evil", {"allow": ["antigravity"], "clip": {"_target_": "antigravity.Clip"}}),
        ("sweep/evil", {"allow": ["antigravity"]}),
        ("clip/evil", {"_target_": "antigravity.Clip"}),
    ):
        group = name.partition("/")[0]
        folder = written(name, content, package="_global_" if group != "clip" else "clip")
        says = refusal(partial(_checked, folder, f"{group}=evil"))
        assert "allow" in says
    assert composer().compose(["allow=[mine]"]).allow == ["mine"]


@pytest.mark.parametrize("sweeper", [{"params": {"allow": [["antigravity"]]}}, {"zip": [{"allow": [["antigravity"]]}]}])
def test_a_sweep_s_file_allows_nothing_by_sweeping(sweeper: dict[str, Any]) -> None:
    folder = written("sweep/evil", {"hydra": {"mode": "MULTIRUN", "sweeper": sweeper}})
    made = composer(folder)
    sweep = made.compose(["sweep=evil"], RunMode.MULTIRUN)
    found = expand({"params": {}, "zip": [], **sweeper}, ["sweep=evil"])
    assert "allow=[antigravity]: their code would run" in refusal(lambda: Composition(made, sweep).all(found))


@pytest.mark.parametrize(
    ("main", "options"), [(resume.main, []), (sync.main, []), (reproduce.main, []), (export.main, ["-o", "model"])]
)
def test_a_record_allows_nothing(
    main: Callable[[list[str]], int], options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = check_configuration(compose(["task=xor", "train.updates=2"])).resolved
    theirs |= {"allow": ["json"], "clip": {"_target_": "json.Clip"}}
    archive = archived(tmp_path / "theirs", numerical_version=compute_version(), current_folder=str(tmp_path))
    archive.write_jobs(
        [
            replace(job, config=theirs, digest=compute_digest(theirs, compute_version()))
            for job in jobs()
            if job.block == 0
        ]
    )
    for block in range(5):
        (archive.folder / "blocks" / f"{block:06d}").rename(tmp_path / f"{block}")
    archive.write_block(0, results(0))
    source = str(archive.folder) + (":0" if main is export.main else "")
    assert main([source, *options]) != 0
    told = "".join(capsys.readouterr())
    assert "allow=[json]: their code would run with your rights" in told
    assert "--allow PACKAGE" in told
    main([source, *options, "--allow", "json"])
    assert "clip._target_=json.Clip: can't be imported" in "".join(capsys.readouterr())


SECRET = "the planted secret"


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:PLANTED}",
        "${oc.env:NOT_THERE,${oc.env:PLANTED}}",
        "${oc.decode:${oc.env:PLANTED}}",
        "a ${oc.select:question2,${oc.env:PLANTED}} b",
        "${${train.kind}.env:PLANTED}",
        "${tracking.uri}",
    ],
)
def test_no_record_holds_what_the_environment_does(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", SECRET)
    content = {"question": text, "train": {"kind": "oc"}, "tracking": {"uri": "${oc.env:PLANTED}"}}
    folder = written("experiment/evil", content)
    given = composer(folder).compose(["experiment=evil"])
    problems: list[str] = []
    values = resolve_config(given, problems)
    assert "question" not in values
    assert "the environment is not read here: what it holds would be recorded" in problems[0]
    assert SECRET not in repr(problems)
    assert values["tracking"]["uri"] == SECRET


def test_what_reads_the_environment_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from omegaconf import OmegaConf

    monkeypatch.setenv("PLANTED", SECRET)
    resolve_config(OmegaConf.create({"question": "${oc.env:PLANTED}"}), [])
    assert OmegaConf.create({"a": "${oc.env:PLANTED}"}).a == SECRET
