"""What a user means by a source: a sweep, a run or several, whole or narrowed, in a folder or in a store.

`SOURCE:12` is a sweep's run number 12, `SOURCE:model=lstm,alpha=0.1` those of its runs with these values, and
`SOURCE:best` the run that did best; `SOURCE:model=lstm:best` the best of those.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.tracking.folder.files import JOURNAL, MULTIRUN, SINGLE_RUNS, SWEEP
from bptt.tracking.folder.sweep import is_sweep
from bptt.tracking.history.base import History, Member
from bptt.tracking.history.from_folder import RunFolderHistory, SweepFolderHistory, is_run
from bptt.tracking.history.from_store import RunsStoreHistory, SweepStoreHistory
from bptt.tracking.store.address import resolve_address
from bptt.tracking.store.base import Store, StoredRow
from bptt.tracking.store.connecting import SourceError, explain_refusal
from bptt.tracking.store.logs import read_copy
from bptt.tracking.store.opening import open_to_read
from bptt.tracking.store.tags import DIGEST_TAG, PARENT_TAG

if TYPE_CHECKING:
    from bptt.core.run import Record
    from bptt.tasks.own_data.preparation import Preparation

_BEST: Final = "best"
_NARROWING: Final = re.compile(rf"\d+|{_BEST}|[\w.@/+~-]+=.+", re.DOTALL)


# Commas that stand within brackets or quotes belong to a value.
_PARTS: Final = re.compile(r"""(?:[^,\[\]{}()'"]|\[[^\]]*\]|\{[^}]*\}|\([^)]*\)|'[^']*'|"[^"]*")+""")


_MOST_SHOWN: Final = 12


@dataclass(frozen=True)
class Narrowing:
    """The number of a run, or key → the values that are meant, as text; best: of those the run that did best."""

    number: int | None
    values: dict[str, list[str]]
    best: bool = False

    def of(self, members: Sequence[Member]) -> list[int]:
        """The numbers of the runs that are meant. Raises SourceError where there is none, or no such key."""
        if self.number is not None:
            if not any(member.number == self.number for member in members):
                last = max(member.number for member in members)
                raise SourceError(f":{self.number}: there is no such run; they are numbered 0 to {last}")
            return [self.number]
        left = list(members)
        for key, values in self.values.items():
            whole = _find_key(key, members)
            for value in values:
                if not any(is_same(value, member.swept.get(whole)) for member in members):
                    raise SourceError(
                        f":{key}={value}: no run has this value; there are {_list_values(whole, members)}"
                    )
            left = [member for member in left if any(is_same(value, member.swept.get(whole)) for value in values)]
        if not left:
            raise SourceError(f":{self}: no run has all of these values")
        return [member.number for member in left]

    def __str__(self) -> str:
        if self.number is not None:
            return str(self.number)
        values = ",".join(f"{key}={','.join(values)}" for key, values in self.values.items())
        return ":".join(filter(None, [values, _BEST if self.best else ""]))


def split_source(text: str) -> tuple[str, Narrowing | None]:
    """A source, and what narrows it; None: nothing does."""
    for colon in re.finditer(":", text):
        source, narrowing = text[: colon.start()], text[colon.end() :]
        within_quotes = source.count("'") % 2 or source.count('"') % 2
        if source and not within_quotes and _NARROWING.fullmatch(narrowing):
            return source, read_narrowing(narrowing)
    return text, None


def read_narrowing(text: str) -> Narrowing:
    """What stands behind a source's colon."""
    if text.isdigit():
        return Narrowing(int(text), {})
    text, best = (text, False) if text != _BEST and not text.endswith(f":{_BEST}") else (text[: -len(_BEST) - 1], True)
    values: dict[str, list[str]] = {}
    for part in _PARTS.findall(text):
        key, equals, value = part.partition("=")
        if equals:
            values.setdefault(key.strip(), []).append(value.strip())
        else:
            next(reversed(values.values())).append(part.strip())
    return Narrowing(None, values, best)


def is_same(asked: str, value: str | None) -> bool:
    """Whether two texts are the same value: a number counts by its value, any other text without its quotes."""
    if value is None:
        return False
    try:
        return float(asked) == float(value)
    except ValueError:
        return asked.strip("'\"") == value.strip("'\"")


def _find_key(key: str, members: Sequence[Member]) -> str:
    """The swept key that is meant: itself, or by its last part."""
    keys = list(dict.fromkeys(key for member in members for key in member.swept))
    if key in keys:
        return key
    last = Counter(known.rpartition(".")[2] for known in keys)
    for known in keys:
        if known.rpartition(".")[2] == key and last[key] == 1:
            return known
    if not keys:
        raise SourceError(f":{key}=: nothing was swept there")
    names = [*keys, *last]
    near = get_close_matches(key, names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise SourceError(f":{key}=: not swept there; {meant}swept were {', '.join(keys)}")


def _list_values(key: str, members: Sequence[Member]) -> str:
    values = list(dict.fromkeys(member.swept[key] for member in members if key in member.swept))
    return ", ".join(values[:_MOST_SHOWN]) + (f", … ({len(values)} values)" if len(values) > _MOST_SHOWN else "")


__all__ = ["LATEST", "Source", "SourceError", "find", "find_folder", "find_newest_folder"]


LATEST: Final = "latest"


_ROOT: Final = Path(MULTIRUN)


_ID: Final = re.compile(r"[0-9a-f]{32}")


_QUERY: Final = re.compile(
    r"\s*(param(eter)?|metric|tag|attr(ibute)?|run|dataset)s?\s*\..*|.*\s(=|!=|<|<=|>|>=|i?like|in|is)\s.*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Source:
    """Recorded runs.

    narrowing  which of them are meant; None: all
    numbers    of those that are meant
    """

    recording: History
    narrowing: Narrowing | None
    numbers: frozenset[int]

    @property
    def name(self) -> str:
        """Of the sweep, with what narrows it."""
        name = self.recording.head.name
        return name if self.narrowing is None else f"{name}:{self.narrowing}"


#: Says of a recording and some of its runs which did best; raises SourceError where none ended.
Choose = Callable[[History, Sequence[int]], Sequence[int]]


def find(source: str | Path, uri: str | None = None, choose: Choose | None = None) -> Source:
    """What a source is. Raises SourceError, ArchiveError and StoreError, each with one line for the user.

    source  a sweep's folder; a single run's folder; the name of a sweep; the id of a run in the store (a sweep's own
            run: the sweep); a query in MLflow's words, over all experiments of the store; `latest`, the newest sweep
            or run in ./multirun. `SOURCE:12` is its run number 12, `SOURCE:model=lstm,alpha=0.1,0.2` its runs with
            these values of what was swept, `SOURCE:best` or `SOURCE:model=lstm:best` the best of them
    uri     of the store in which names and ids are looked up; None: folders in ./multirun come first, then the store
            that `bptt train` would use here
    choose  picks the best; None: none can be asked for

    Whatever the store has of a sweep whose folder is in ./multirun is read there.
    """
    text, narrowing = str(source), None
    found = _find_here(text, uri)
    if found is None:
        text, narrowing = split_source(text)
        found = (_find_here(text, uri) if narrowing is not None else None) or _find_in_store(text, uri)
    recording, own = found
    narrowing = own if narrowing is None else narrowing
    numbers: Sequence[int] = recording.numbers if narrowing is None else narrowing.of(recording.members)
    if narrowing is not None and narrowing.best:
        if choose is None:
            raise SourceError(f"{source}: a run can't be meant here; name the whole sweep: {text}")
        numbers = choose(recording, numbers)
    return Source(recording, narrowing, frozenset(numbers))


def find_newest_folder(root: Path = _ROOT, runs: bool = True) -> Path:
    """The folder, within this one, of the sweep or the single run that was begun last. Raises SourceError without any.

    runs  whether single runs count
    """
    times = {path.parent: _read_noted(path, "began") for path in root.glob(f"*/{SWEEP}")}
    if runs:
        times |= {path.parent: _read_begin(path.parent) for path in (root / SINGLE_RUNS).glob(f"*/{JOURNAL}")}
    known = {folder: time for folder, time in times.items() if isinstance(time, int | float)}
    if not known:
        raise SourceError(f"{LATEST}: there is no {'run and no ' if runs else ''}sweep in {root}")
    return max(known, key=lambda folder: known[folder])


def _read_begin(run: Path) -> float | None:
    """When a single run was begun: as its folder's name says, which stays when it is copied, or its first file."""
    try:
        return datetime.strptime(run.name, "%Y-%m-%d_%H-%M-%S-%f").timestamp()
    except ValueError:
        pass
    try:
        return min(path.stat().st_mtime for path in run.iterdir())
    except (OSError, ValueError):
        return None


def find_folder(source: str) -> Path:
    """The folder, here, of the sweep or the single run that is meant, see `find`; no store is asked.

    Raises SourceError, also where a part of a sweep is meant, and ArchiveError.
    """
    found = _find_here(source, None)
    if found is not None and isinstance(found[0], SweepFolderHistory | RunFolderHistory):
        return found[0].folder
    text, narrowing = split_source(source)
    if narrowing is not None:
        raise SourceError(f"{source}: a part of a sweep; name the whole one: {text}")
    raise SourceError(f"{source}: {_explain_unknown(source)}, and none of a sweep or a run of this name in {_ROOT}")


_Found = tuple[History, Narrowing | None]


def _find_here(text: str, uri: str | None) -> _Found | None:
    """What is meant, where it is a folder, or has one here."""
    folder = find_newest_folder() if text == LATEST else Path(text)
    if found := _open_folder(folder):
        return found, None
    if folder.is_dir() and folder.name != text:
        raise SourceError(f"{text}: neither the folder of a sweep nor that of a run")
    if uri is None and folder.name == text and text:
        found = _open_folder(_ROOT / text) or _open_folder(_ROOT / SINGLE_RUNS / text)
        found = found or (_find_id(text) if _ID.fullmatch(text) else None)
    return None if found is None else (found, None)


def _open_folder(folder: Path) -> History | None:
    if is_sweep(folder):
        return SweepFolderHistory(folder)
    return RunFolderHistory(folder) if is_run(folder) else None


def _find_id(run_id: str) -> History | None:
    """The sweep or the single run in ./multirun that the store has by this id; None: its folder is not here."""
    for paths, key in ((_ROOT.glob(f"*/{SWEEP}"), "parent"), ((_ROOT / SINGLE_RUNS).glob(f"*/{JOURNAL}"), "run_id")):
        for path in paths:
            if _read_noted(path, key) == run_id:
                return _open_folder(path.parent)
    return None


def _read_noted(journal: Path, key: str) -> object:
    try:
        return json.loads(journal.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _find_in_store(text: str, uri: str | None) -> _Found:
    """What is meant in the store."""
    query = _QUERY.fullmatch(text) is not None
    if not query and Path(text).name != text:
        raise SourceError(f"{text}: there is no such folder")
    address = resolve_address(uri)
    if uri is None and address.is_missing:
        raise SourceError(f"{text}: {_explain_unknown(text)}, and there is no store here ({address.database})")
    store = open_to_read(uri)
    if query:
        rows = store.search(text)
        if not rows:
            raise SourceError(f"{text}: no run in {address.shown} is like this")
        return RunsStoreHistory(store, rows, own=None, name=text), None
    row = store.find_run(text) if _ID.fullmatch(text) else None
    if row is None:
        sweeps = store.find_sweeps(text)
        if len(sweeps) > 1:
            ids = " ".join(sweep.run_id for sweep in sweeps)
            raise SourceError(f"{text}: several sweeps have this name; say which, by its run's id: {ids}")
        row = sweeps[0] if sweeps else None
    if row is None:
        raise SourceError(
            f"{text}: {_explain_unknown(text)}, and neither the name of a sweep nor a run in {address.shown}"
        )
    return _open_row(store, row)


def _open_row(store: Store, row: StoredRow) -> _Found:
    """What a run of the store stands for, from its folder where that is here."""
    if row.is_sweep:
        return _find_id(row.run_id) or _open_sweep(store, row), None
    sweep = _find_id(row.tags.get(PARENT_TAG, row.run_id))
    if sweep is None:
        return RunsStoreHistory(store, [row], own=row), None
    if PARENT_TAG not in row.tags:
        return sweep, None
    for member in sweep.members:
        if member.digest == row.tags.get(DIGEST_TAG):
            return sweep, Narrowing(member.number, {})
    return RunsStoreHistory(store, [row], own=row), None


def _open_sweep(store: Store, own: StoredRow) -> History:
    with explain_refusal(store.address):
        kept = read_copy(store.address, own.artifact_uri, ended=own.status != "RUNNING")
    if kept is not None and kept.tables is not None:
        return SweepStoreHistory(store, own, kept, kept.tables)
    rows = store.find_below(own) + (store.find_runs(list(kept.reused.values())) if kept else [])
    return RunsStoreHistory(store, rows, own=own, kept=kept)


def _explain_unknown(text: str) -> str:
    near = get_close_matches(text, [path.parent.name for path in _ROOT.glob(f"*/{SWEEP}")], n=1)
    return "there is no such folder" + (f" (did you mean {near[0]}?)" if near else "")


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A recorded run.

    number             its place in its sweep, or among those that were asked for
    run_id             in the store; None unknown
    numerical_version  of the program that trained it; None unknown
    config             its whole resolved configuration
    status             FINISHED, FAILED, KILLED, RUNNING
    outcome            completed, diverged, early_stopped; None: it has not ended, or FAILED
    current_folder     from which relative paths in `config` are meant; None unknown
    provenance         what it was made with; empty unknown
    """

    name: str
    number: int | None
    run_id: str | None
    digest: str
    numerical_version: str | None
    status: str
    outcome: str | None
    current_folder: Path | None
    provenance: dict[str, Any]
    recording: History = field(repr=False, compare=False)
    place: int = field(repr=False, compare=False)

    @property
    def config(self) -> dict[str, Any]:
        """The whole resolved configuration; read when it is asked for."""
        return self.recording.config(self.place)

    @property
    def record(self) -> "Record | None":
        """What it recorded; None: nothing. Read each time it is asked for; a run's neighbours come along for free.

        Its `state` is (0, 0) where it was read from a store.
        """
        return self.recording.record(self.place)

    @property
    def preparation(self) -> "Preparation | None":
        """What was done to its data before training; None: its task makes its own, or it was not kept."""
        return self.recording.preparation(self.place)


def find_past_runs(source: str | Path, uri: str | None = None, choose: Choose | None = None) -> list[PastRun]:
    """The runs of a source, see `bptt.tracking.history.find.find`, by number; what they recorded is read later.

    Raises SourceError, ArchiveError and StoreError, each with one line for the user.
    """
    return list_past_runs(find(source, uri, choose))


def list_past_runs(found: Source) -> list[PastRun]:
    """The same of a source that was found."""
    import pandas as pd

    recording, head, provenance = found.recording, found.recording.head, found.recording.provenance()
    members = [member for member in recording.members if member.number in found.numbers]
    ended = recording.tables([member.number for member in members]).runs.set_index("run")[
        ["status", "outcome", "run_id"]
    ]
    runs = []
    for member in members:
        row = ended.loc[member.number] if member.number in ended.index else dict.fromkeys(ended)
        status, outcome, run_id = (None if pd.isna(row[name]) else str(row[name]) for name in ended)
        runs.append(
            PastRun(
                name=member.name,
                number=member.number,
                run_id=run_id,
                digest=member.digest,
                numerical_version=head.numerical_version or provenance.get("numerical_version"),
                status=status or ("RUNNING" if head.status == "RUNNING" else "KILLED"),
                outcome=None if status == "FAILED" else outcome,
                current_folder=head.current_folder,
                provenance=provenance,
                recording=recording,
                place=member.number,
            )
        )
    return runs
