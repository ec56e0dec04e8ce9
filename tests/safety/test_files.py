"""Files of others: what is read from them runs nothing, and what is written for them stays where it belongs."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml as pyyaml

from bptt.analysis.report.rendering import escape_markdown
from bptt.analysis.report.writing import write_report
from bptt.cli import report, rm
from bptt.cli.main import main
from bptt.cli.report import _choose_folder
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.sweeps.search.settings import Numbers, SearchSettings, Space
from bptt.sweeps.search.study import Study
from bptt.sweeps.workers.training import Checkpoint
from bptt.tracking.folder.block import ArchiveError, open_block, read_block, read_table, write_table
from bptt.tracking.folder.files import read_arrays, write_arrays, write_text
from bptt.tracking.folder.lock import find_why_taken
from bptt.tracking.folder.run import (
    Journal,
    ResumeError,
    read_checkpoint,
    read_config,
    read_journal,
    write_journal,
)
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.history.from_folder import RunFolderHistory
from bptt.tracking.store.address import resolve_address
from bptt.tracking.store.artifacts import fetch, list_names, put_files
from tests.recording import archived, strip_digests
from tests.safety import planted

POSIX = pytest.mark.skipif(os.name != "posix", reason="makes links")


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    return tmp_path / "witness"


def test_what_is_planted_works(tmp_path: Path, witness: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    planted.npz(tmp_path / "a.npz", witness, {"x": 1})
    with np.load(tmp_path / "a.npz", allow_pickle=True) as arrays:
        assert arrays["x"].dtype == object
    assert witness.is_dir()
    witness.rmdir()
    pyyaml.unsafe_load(planted.yaml(witness))
    assert witness.is_dir()


def _checkpoint(file: Path) -> Any:
    journal = Journal(
        run_id=None, uri=None, experiment=None, name="", digest="d", numerical_version="v", current_folder=""
    )
    return read_checkpoint(file.parent, journal)


def _block(file: Path) -> Any:
    strip_digests(file.parents[2])  # otherwise the file would not be looked into
    return read_block(open_block(file.parent))


def _block_checkpoint(file: Path) -> Any:
    run = check_configuration(compose()).run
    if Checkpoint(file, "the block's", None).resume([run]) is None:
        raise ArchiveError("not used")


def _task(file: Path) -> Any:
    return check_configuration(compose(["task=arrays", f"task.path={file}"]))


def _weights(file: Path) -> Any:
    return check_configuration(compose(["init=file", f"init.path={file}"]))


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (read_arrays, "weights.npz"),
        (_checkpoint, "checkpoint.npz"),
        (_block, "weights.npz"),
        (_block_checkpoint, "000000.checkpoint.npz"),
        (_task, "data.npz"),
        (_weights, "start.npz"),
    ],
)
def test_no_array_is_unpickled(read: Callable[[Path], Any], name: str, tmp_path: Path, witness: Path) -> None:
    archive = archived(tmp_path / "sweep")
    file = archive.folder / "blocks" / "000000" / name
    like: dict[str, Any] = {"x": np.zeros((5, 3, 2)), "y": np.zeros((5, 1))}
    if file.exists():
        like = read_arrays(file)
    planted.npz(file, witness, like)
    with pytest.raises((ValueError, ArchiveError, ResumeError)):
        read(file)
    assert not witness.exists()


def _run_folder(folder: Path) -> Any:
    return read_config(folder)


def _overrides(folder: Path) -> Any:
    write_text(folder / "config.yaml", "seed: 1\n")
    journal = Journal(
        run_id=None, uri=None, experiment=None, name="", digest="d", numerical_version="v", current_folder=""
    )
    write_journal(folder, journal)
    if RunFolderHistory(folder).overrides(0) == []:
        raise ConfigurationError(["nothing is read"])


def _choice(folder: Path) -> Any:
    return compose(["experiment=config"], folder)


def _initialisation(folder: Path) -> Any:
    return check_configuration(compose(["init.input=overrides", f"hydra.searchpath=[file://{folder}]"], folder))


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (_run_folder, "config.yaml"),
        (_overrides, ".hydra/overrides.yaml"),
        (_choice, "experiment/config.yaml"),
        (_initialisation, "init/overrides.yaml"),
    ],
)
def test_no_yaml_makes_objects(read: Callable[[Path], Any], name: str, tmp_path: Path, witness: Path) -> None:
    folder = tmp_path / "theirs"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text(planted.yaml(witness))
    with pytest.raises((ConfigurationError, ResumeError, pyyaml.YAMLError)):
        read(folder)
    assert not witness.exists()


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..\\..\\x", "C:\\x", "a/../../../x", "x\0y", ".."])
def test_a_report_is_written_here_whatever_its_sweep_is_called(name: str) -> None:
    from types import SimpleNamespace

    folder = _choose_folder([SimpleNamespace(name=name, folder=None)])  # type: ignore[list-item]
    assert folder.name == str(folder)
    assert folder.name.startswith("report-")
    assert not {*"/\\\0:"} & {*folder.name}


def test_figures_are_called_by_letters_alone() -> None:
    from types import SimpleNamespace

    from bptt.analysis.figures.outcomes import _write_file_name

    factor = SimpleNamespace(label="../../x\\y:optimizer.alpha")
    assert _write_file_name("success", factor) == "success_______x_y_optimizer_alpha"  # type: ignore[arg-type]


@POSIX
@pytest.mark.parametrize("link", ["figures", "tables", ".report.html.part"])
def test_a_report_does_not_follow_links_out_of_its_folder(link: str, tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "report"
    elsewhere.mkdir()
    folder.mkdir()
    (elsewhere / "precious.svg").write_text("precious")
    (folder / link).symlink_to(elsewhere if "." not in link else elsewhere / "precious.svg")
    write_report(folder, {"report.html": b"1", "figures/a.svg": b"2", "tables/a.csv": b"3"})
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {"precious.svg": "precious"}
    assert (folder / "figures" / "a.svg").read_text() == "2"


def _precious(folder: Path) -> Path:
    """A folder elsewhere with a file that nobody may touch."""
    folder.mkdir()
    for name in ("report.html", "loss.png", "sweep.json", "precious"):
        (folder / name).write_text("precious")
    return folder


def _is_untouched(folder: Path) -> bool:
    return {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        ("report.html", "loss.png", "sweep.json", "precious"), "precious"
    )


@POSIX
def test_a_link_called_report_in_a_sweep_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from bptt.sweeps.finish import save_report

    monkeypatch.setattr("bptt.analysis.report.writing.make_report_files", lambda *_, **__: {"report.html": b"new"})
    archive, elsewhere = archived(tmp_path / "sweep"), _precious(tmp_path / "elsewhere")
    link = archive.folder / "report"
    link.symlink_to(elsewhere)
    assert report.main([str(archive.folder)]) == 0
    assert (_is_untouched(elsewhere), link.is_symlink()) == (True, False)
    shutil.rmtree(link)
    link.symlink_to(elsewhere)
    assert save_report(SimpleNamespace(archive=archive), {"report.html": b"new"}) == link / "report.html"  # type: ignore[arg-type]
    assert (_is_untouched(elsewhere), link.is_symlink()) == (True, False)
    assert (link / "report.html").read_text() == "new"


@POSIX
def test_a_run_that_goes_on_follows_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name that is written into a run's folder is a link to elsewhere by the time that it is written."""
    monkeypatch.chdir(tmp_path)
    elsewhere, folder = _precious(tmp_path / "elsewhere"), tmp_path / "run"
    small = ["task=xor", "task.length=3", "train.updates=2", "model.hidden_size=2", "tracking.enabled=false"]
    assert main(["train", *small, "hydra.run.dir=run"]) == 0
    journal = read_journal(folder)
    write_journal(folder, replace(journal, status="KILLED"))
    for path in (folder / "figures").iterdir():
        path.unlink()
    (folder / "figures").rmdir()
    (folder / "figures").symlink_to(elsewhere)
    for name in (".lock", "history.parquet", "weights.npz", ".history.parquet.part", ".run.json.part"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(elsewhere / "precious")
    assert main(["resume", "run"]) == 0
    assert _is_untouched(elsewhere)
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    assert (folder / "figures" / "loss.png").read_bytes().startswith(b"\x89PNG")


@POSIX
def test_artifacts_and_searches_and_new_folders_follow_no_link(tmp_path: Path) -> None:
    elsewhere, folder = _precious(tmp_path / "elsewhere"), tmp_path / "artifacts"
    folder.mkdir()
    (folder / "archive").symlink_to(elsewhere)
    (folder / ".config.yaml.part").symlink_to(elsewhere / "precious")
    put_files(resolve_address("sqlite:///x.db"), folder.as_uri(), {"archive/sweep.json": b"new", "config.yaml": b"new"})
    assert (folder / "archive" / "sweep.json").read_text() == "new"
    study = tmp_path / "study.db"
    study.symlink_to(elsewhere / "precious")
    space = Space((), {"seed": Numbers(low=0, high=3)})
    with pytest.raises(ConfigurationError, match=r"study\.db: is a link; name the file itself"):
        Study(SearchSettings(trials=2), space, study)
    new = tmp_path / "new"
    (new / ".hydra").mkdir(parents=True)
    (new / ".lock").touch()
    (new / ".hydra" / "config.yaml").symlink_to(elsewhere / "precious")
    assert find_why_taken(new) == ".hydra/config.yaml in it is a link; name a folder of its own"
    assert _is_untouched(elsewhere)


@POSIX
@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_text(path, "new"),
        lambda path: write_arrays(path, {"a": np.zeros(1)}),
        lambda path: SweepFolder(path.parent).write_jobs([]),
    ],
)
def test_a_file_that_is_written_first_is_no_link(write: Callable[[Path], Any], tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "theirs"
    precious.write_text("precious")
    folder.mkdir()
    path = folder / "jobs.parquet"
    (folder / ".jobs.parquet.part").symlink_to(precious)
    write(path)
    assert precious.read_text() == "precious"
    assert path.is_file()
    assert not path.is_symlink()


@POSIX
@pytest.mark.parametrize("name", ["blocks", "stored"])
def test_a_sweep_whose_parts_lie_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    folder = archived(tmp_path / "sweep").folder
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match=f"{name}: leads elsewhere"):
        SweepFolder.open(folder)


@pytest.mark.parametrize("value", ["../../x", "/etc/x", None])
@pytest.mark.parametrize("column", ["block", "number"])
def test_blocks_are_numbers(column: str, value: str | None, tmp_path: Path) -> None:
    archive = archived(tmp_path / "sweep")
    table = read_table(archive.folder / "jobs.parquet")
    place = table.column_names.index(column)
    table = table.set_column(place, column, pa.array([value] * len(table), pa.string()))
    write_table(archive.folder / "jobs.parquet", table)
    with pytest.raises(ArchiveError, match=r"jobs\.parquet: can't be read"):
        SweepFolder.open(archive.folder).jobs()


def test_only_numbers_are_taken_for_blocks(tmp_path: Path) -> None:
    archive = archived(tmp_path / "sweep")
    for name in ("..x", "000001.checkpoint.npz", "x000009"):
        (archive.folder / "blocks" / name).mkdir()
    assert archive.blocks() == {0, 1, 2, 3, 4}


def test_a_folder_that_is_no_sweep_s_is_not_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").touch()
    assert rm.main([str(tmp_path), "--yes"]) == 2
    assert capsys.readouterr().err == f"{tmp_path}: not the folder of a sweep (it holds no sweep.json)\n"
    assert (tmp_path / "precious").exists()


def test_a_server_names_no_file_that_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a tracking server lists is compared with the names that bptt knows; only those are asked for and written."""
    from types import SimpleNamespace

    from bptt.tracking.store import artifacts
    from bptt.tracking.store.address import resolve_address

    listed = ["../../x", "/etc/x", "..\\x", "config.yaml"]
    asked: dict[str, Path] = {}

    def download(name: str, path: str) -> None:
        asked[name] = Path(path)
        Path(path).write_text("theirs")

    server = SimpleNamespace(
        list_artifacts=lambda _folder: [SimpleNamespace(path=path, is_dir=False) for path in listed],
        _download_file=download,
    )
    monkeypatch.setattr(artifacts, "_open_repository", lambda *_: server)
    address = resolve_address("http://127.0.0.1:9")
    assert list_names(address, "mlflow-artifacts:/1/a") == {*listed}
    with fetch(address, "mlflow-artifacts:/1/a", ["config.yaml"]) as folder:
        assert (folder / "config.yaml").read_text() == "theirs"
        assert [*folder.rglob("*")] == [folder / "config.yaml"]
    assert {*asked} == {"config.yaml"}


@pytest.mark.parametrize("text", ["[x](javascript:alert(1))", "<a href='javascript:x'>y</a>", "<javascript:alert(1)>"])
def test_text_makes_no_link(text: str) -> None:
    written = escape_markdown(text)
    assert "<" not in written
    assert not re.search(r"(?<!\\)\]\(", written)
