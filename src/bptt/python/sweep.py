"""A sweep, from Python: its tables, and what is made of them: the best run, comparisons, figures, the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.sweep import Sweep, load_found, pick_best
from bptt.configuration.errors import suggest
from bptt.python.comparing import SweepComparison, compare
from bptt.python.network import Network
from bptt.python.run import TrainedRun
from bptt.tracking.folder.files import JOBS, PAGE, REPORT
from bptt.tracking.folder.sweep import is_sweep
from bptt.tracking.history.base import History
from bptt.tracking.history.find import Narrowing, Source, SourceError, list_past_runs, read_narrowing
from bptt.tracking.history.from_folder import SweepFolderHistory
from bptt.tracking.store.address import recall_uri
from bptt.tracking.store.opening import find_store
from bptt.tracking.store.pages import find_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_SHOWN: Final = 8  # settings

#: What says which runs of a sweep are meant, see `TrainedSweep.select`.
Narrow = str | int | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainedSweep(Sweep):
    """What `bptt.sweep` and `bptt.load` return: the tables of `bptt.analysis.sweep.Sweep`, with what is made of them.

    kept   what keeps its folder there as long as this object is; None: it is no temporary one
    allow  packages whose classes its configurations may name
    """

    kept: object = None
    allow: tuple[str, ...] = ()

    @property
    def _recording(self) -> History:
        """As its folder is now, should runs have been added there, as `confirm` does."""
        before: tuple[float, History] | None = self.__dict__.get("_reopened")
        if self.folder is None or not is_sweep(self.folder):
            return super()._recording
        changed = (self.folder / JOBS).stat().st_mtime
        if before is None or before[0] != changed:
            fresh = super()._recording if before is None else SweepFolderHistory(self.folder)
            self.__dict__["_reopened"] = before = changed, fresh
        return before[1]

    @classmethod
    def of(cls, sweep: Sweep, kept: object = None, allow: Sequence[str] = ()) -> "TrainedSweep":
        """The same sweep, with what can be made of it."""
        values = {field.name: getattr(sweep, field.name) for field in fields(Sweep)}
        made = cls(**values, kept=kept, allow=tuple(allow))
        made._recording  # noqa: B018 (notes how its folder is now)
        return made

    def run(self, number: int | None = None) -> TrainedRun:
        """A run by its number, as in `runs`; None: the one that there is. Raises SourceError where there is none."""
        numbers = self._numbers
        if number is None and len(numbers) == 1:
            (number,) = numbers
        if number not in numbers:
            says = "name one of them by its number" if number is None else f"{number}: there is no such run"
            raise SourceError(f"{self.name}: {says}; they are numbered {min(numbers)} to {max(numbers)}")
        (past,) = list_past_runs(Source(self._recording, None, frozenset([number])))
        return TrainedRun(past, kept=self.kept, allow=self.allow)

    def best(self) -> TrainedRun:
        """The run that did best: of the best setting, by the rule that ranks them in the report, the one with the
        smallest loss of the network that it keeps; `select` says of which runs.

        Raises SourceError where no run ended with a finite loss, and where the sweep has conditions, across
        whose values nothing is ranked.
        """
        found = pick_best(self._recording, self._numbers, str(self.solved), self.conditions)
        if len(found) > 1:
            key = self.conditions[0]
            example = f"sweep.select({{{key!r}: {self.runs[key].tolist()[0]!r}}}).best()"
            raise SourceError(f"{self.name}: {key} makes the question harder, and has a best run for each: {example}")
        return self.run(found[0])

    @property
    def network(self) -> Network:
        """The network of the best run."""
        return self.best().network

    def select(self, runs: Narrow) -> "TrainedSweep":
        """Some of the runs, as a sweep of their own.

        runs  `{"model.hidden_size": 2}`, key → a value or several; a text as behind a colon on the command line,
              "hidden_size=2,alpha=0.1"; or a run's number

        Raises SourceError where there are none.
        """
        narrowing = _read_narrow(runs)
        members = [member for member in self._recording.members if member.number in {*self._numbers}]
        numbers = frozenset(narrowing.of(members))
        if narrowing.best:
            numbers = frozenset(pick_best(self._recording, [*numbers], str(self.solved), self.conditions))
        found = load_found(Source(self._recording, narrowing, numbers), str(self.solved))
        return TrainedSweep.of(found, self.kept, self.allow)

    def compare(self, a: "Narrow | Sweep", b: "Narrow | Sweep", *, metric: str | None = None) -> SweepComparison:
        """What tells two parts of the sweep apart, which does better and how sure that is; a part as for `select`.

        metric  that is compared; None: the share of solved runs, the updates until then, the losses and the accuracy
        """
        sides = [one if isinstance(one, Sweep) else self.select(one) for one in (a, b)]
        return compare(*sides, metric=metric)

    @cached_property
    def figures(self) -> "dict[str, Figure]":
        """Name → figure, all that the report has."""
        from bptt.analysis.figures import draw_sweep
        from bptt.python.display import make_shown

        return {drawn.name: make_shown(drawn.figure) for drawn in draw_sweep(self, lambda _name, _error: None)}

    def figure(self, name: str) -> "Figure":
        """A figure of the report: `sweep.figure("convergence")`. Raises ValueError, which lists their names."""
        if name not in self.figures:
            known = ", ".join(self.figures) or "none, as no run has ended"
            raise ValueError(f"{name}: no such figure of this sweep{suggest(name, self.figures)} (there are {known})")
        return self.figures[name]

    def report(self, folder: str | Path | None = None) -> Path:
        """Write the report; returns its page, one HTML file that needs nothing from elsewhere.

        folder  a new one, or that of an earlier report; None: report/ in the sweep's folder

        Raises SourceError where the folder holds something else.
        """
        from bptt.analysis.report.writing import is_own_page, make_report_files, write_report

        if folder is None and self.folder is None:
            raise SourceError(f"{self.name}: read from a store; name a folder for its report")
        place = Path(folder) if folder is not None else Path(str(self.folder)) / REPORT
        if folder is None and place.is_symlink():  # in a sweep's folder that came from elsewhere it may lead anywhere
            place.unlink()
        if place.exists() and (not place.is_dir() or (any(place.iterdir()) and not is_own_page(place / PAGE))):
            raise SourceError(f"{place}: holds something else than a report; name a folder of its own")
        return write_report(place, make_report_files([self]))

    def confirm(self, seeds: int = 20, *, progress: bool | None = None) -> "TrainedSweep":
        """Train the best setting, of each condition, again on so many fresh seeds; the sweep with them in its `stages`.

        Raises ArchiveError where the sweep has not ended or nothing was picked, and where its folder is not here.
        """
        from bptt.python.progress import choose_reporter
        from bptt.python.reopening import confirm_best, find_sweep_folder

        folder = find_sweep_folder(self)
        confirm_best(folder, seeds, choose_reporter(progress), self.allow)
        return load_kept(folder, self.kept, self.allow)

    @cached_property
    def url(self) -> str | None:
        """Its page among MLflow's, of a store that is no server as `bptt ui` shows it; None: it is in no store."""
        if self.run_id is None:
            return None
        head = self._recording.head
        uri = recall_uri(head.uri, None, self.name) if head.folder is not None else None
        return find_page(find_store(uri, head.current_folder), self.run_id)

    def __repr__(self) -> str:
        runs = len(self.runs)
        keys = ", ".join(self.swept)
        return f"<sweep {self.name}: {runs:,} run{'s'[: runs != 1]}{f' over {keys}' if keys else ''}, {self.status}>"

    def _repr_html_(self) -> str:
        from bptt.analysis.notebook import outline
        from bptt.analysis.tables import tabulate_settings
        from bptt.python.display import write_html_table

        about = outline(self)
        rows = {str(key): str(text) for key, text in zip(about.index, about.iloc[:, 0], strict=True)}
        rows |= {"status": self.status, "folder": "" if self.folder is None else str(self.folder)}
        settings = tabulate_settings(self.runs, self.swept).head(_MOST_SHOWN)
        return write_html_table("sweep", rows) + str(settings.to_html(index=False, float_format="{:.4g}".format))


def load_kept(folder: str | Path, kept: object, allow: Sequence[str] = ()) -> TrainedSweep:
    """The sweep in a folder; kept: what keeps that there."""
    from bptt.analysis.sweep import load_sweep

    return TrainedSweep.of(load_sweep(folder), kept, allow)


def _read_narrow(runs: Narrow) -> Narrowing:
    if isinstance(runs, int):
        return Narrowing(runs, {})
    if isinstance(runs, str):
        return read_narrowing(runs)

    def write(value: Any) -> list[str]:
        several = isinstance(value, Sequence) and not isinstance(value, str)
        return [str(one) for one in (value if several else [value])]

    return Narrowing(None, {key: write(value) for key, value in runs.items()})
