"""The store that runs would be recorded in: whether it can be, what is in the way, and which processes have it open."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bptt.doctor.finding import Finding, Situation, write_command, write_size
from bptt.doctor.program import name_origin

if TYPE_CHECKING:
    from bptt.tracking.store.address import Address
    from bptt.tracking.store.state import StoreState


@dataclass(frozen=True)
class Holder:
    """A process: its number, and the name of what it runs."""

    number: int
    command: str


def find_holders(file: Path) -> list[Holder]:
    """The other processes that have a file open; empty where the system has no /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        with suppress(OSError):  # it has ended, or is another user's
            if any(link.samefile(file) for link in (folder / "fd").iterdir() if _is_at(link, file)):
                found.append(Holder(int(folder.name), (folder / "comm").read_text(encoding="utf-8").strip()))
    return found


def _is_at(link: Path, file: Path) -> bool:
    """Whether an open file may be this one: asking what it is could wait for a disk that is away."""
    with suppress(OSError):
        return link.readlink().name == file.resolve().name
    return False


_UNSET: Final = "unset MLFLOW_TRACKING_URI"


def examine(situation: Situation) -> Iterator[Finding]:
    """Where the store is, whether it answers, the version of its tables, what it holds, and its size."""
    from bptt.tracking.store.address import ARTIFACTS, StoreError, find_file_store, resolve_address
    from bptt.tracking.store.state import examine_store

    old = find_file_store(situation.folder)
    named = name_origin(situation.variables, situation.uri)
    if old and not named:
        yield _examine_file_store(situation.folder / ARTIFACTS, old)
        return
    try:
        address = resolve_address(situation.uri, situation.folder)
    except StoreError as error:
        yield Finding(mark="wrong", subject="address", says=str(error), means="nothing can be recorded", command=_UNSET)
        return
    yield Finding(subject="address", says=f"{address.shown} ({named or 'the default'})")
    if address.database is not None and not address.database.exists():
        yield Finding(subject="contents", says="not there yet: `bptt train` makes it")
        return
    state = examine_store(address)
    if state.trouble != "none":
        yield _report_trouble(address, state, named)
    if state.revision is not None:
        yield _examine_schema(address, state.revision)
    if state.experiments is not None:
        runs = "" if state.runs is None else f", {_write_count(state.runs, 'run')}"
        yield Finding(subject="contents", says=f"{_write_count(state.experiments, 'experiment')}{runs}")
    if address.database is not None:
        yield from _examine_moves(address, named)
        yield _examine_file(address.database, state)


def _write_count(number: int, word: str) -> str:
    return f"{number:,} {word}{'s'[: number != 1]}"


def _examine_file_store(folder: Path, old: list[Path]) -> Finding:
    beside = folder.with_name("mlruns-file-store")
    return Finding(
        mark="wrong",
        subject="address",
        says=f"{folder}: holds {_write_count(len(old), 'experiment')} of an old MLflow file store",
        means="with them there `mlflow ui` ignores mlflow.db, and bptt records nothing. They are moved away, whole:"
        " `mlflow migrate-filestore` makes a database of them",
        command=f"{write_command('mkdir', beside)} && {write_command('mv', *old, beside)}",
    )


def _report_trouble(address: "Address", state: "StoreState", named: str) -> Finding:
    means, command = "runs can't be recorded", ""
    file = address.database
    if state.trouble == "locked" and file is not None:
        held = find_holders(file)
        by = ", ".join(f"process {one.number} ({one.command})" for one in held) or "another process"
        means = f"{by} is writing to it, or hangs; wait for it, or end it"
        command = write_command("kill", *(one.number for one in held)) if held else ""
    elif state.trouble == "damaged" and file is not None:
        means, command = (
            f"{means}; it is moved away, and a new one is made",
            write_command("mv", file, f"{file}.damaged"),
        )
    elif state.trouble == "read-only" and file is not None:
        command = write_command("chmod", "u+w", file)
    elif file is None:
        means = "`bptt train` does not begin; without this address, runs go to mlflow.db in the current folder"
        command = _write_server_command(address) or (_UNSET if named == "MLFLOW_TRACKING_URI" else "")
    return Finding(mark="wrong", subject="answer", says=f"{state.trouble}: {state.says}", means=means, command=command)


def _write_server_command(address: "Address") -> str:
    """What starts a server that is to be on this machine."""
    parts = urlsplit(address.uri)
    if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "localhost"):
        return ""
    return write_command("mlflow", "server", "--host", parts.hostname, "--port", parts.port or 80)


def _examine_schema(address: "Address", found: str) -> Finding:
    from bptt.tracking.store.schema import UNKNOWN, read_revisions

    revisions, installed = read_revisions(), version("mlflow")
    says = f"version {found}, as MLflow {installed} has it"
    if found in revisions.heads:
        return Finding(subject="tables", says=says)
    file = address.database
    if found == UNKNOWN:
        says = "not MLflow's, or only some of them"
        means = "runs can't be recorded; it is moved away, and a new one is made"
        command = "" if file is None else write_command("mv", file, f"{file}.damaged")
    elif found in revisions.known:
        says = f"version {found}, older than MLflow {installed} needs"
        means = "runs can't be recorded before it is upgraded, which takes a copy first"
        upgrade = write_command("mlflow", "db", "upgrade", address.shown)
        command = upgrade if file is None else f"{_write_copy_command(file)} && {upgrade}"
    else:
        says = f"version {found}, which MLflow {installed} does not know"
        means = "a newer MLflow has written it, and is needed here too"
        command = write_command("python", "-m", "pip", "install", "--upgrade", "mlflow")
    return Finding(mark="wrong", subject="tables", says=says, means=means, command=command)


def _write_copy_command(database: Path) -> str:
    """A copy of a database, with what was not moved into its file yet."""
    ahead = database.with_name(f"{database.name}-wal")
    return " && ".join(
        write_command("cp", path, str(path).replace(str(database), f"{database}.backup"))
        for path in (database, *([ahead] if ahead.exists() else []))
    )


def _examine_moves(address: "Address", named: str) -> Iterator[Finding]:
    """Whether the store was copied or moved, and looks for its artifacts where it lay."""
    from bptt.tracking.store.whereabouts import find_moves

    moves = find_moves(address, relative=False)
    if moves:
        left = ", ".join(dict.fromkeys(str(move.left) for move in moves))
        names = ", ".join(dict.fromkeys(move.experiment for move in moves))
        yield Finding(
            mark="wrong",
            subject="artifacts",
            says=f"the store was copied or moved from {left}, and looks there for the artifacts of {names}",
            means="MLflow shows what is there, and deletes it with `mlflow gc`; whatever of bptt's uses this store"
            " next puts it right",
            command=write_command("bptt", "ui", *(["--uri", address.shown] if named else [])),
        )


def _examine_file(database: Path, state: "StoreState") -> Finding:
    files = [path for path in (database, database.with_name(f"{database.name}-wal")) if path.is_file()]
    mode = "" if state.journal_mode is None else f", journal mode {state.journal_mode}"
    return Finding(subject="file", says=f"{write_size(sum(path.stat().st_size for path in files))}{mode}")
