"""What a sweep varies: from the settings of the sweeper `grid` and the command line to the overrides of every run.

The settings stand under `hydra.sweeper`:

params   key: values; each combination is a run. Values are a list, or text in Hydra's grammar: 0.1,0.2 or range(5)
zip      a list of groups of key: values; the keys of a group advance together, so their lists are equally long
seeds    N: each of that is run with the seeds 0 to N - 1
exclude  a list of key: value, or of key: list of values; a run that has all of an entry is left out
unions   a list of sweeps, each with params, zip, seeds and exclude of its own beside the common ones: the runs of all;
         called blocks in files of before
halving  gives up settings that fall behind, see `bptt.sweeps.search.settings.GridHalving`

What a union says of a key replaces what is said in common, and what the command line says of it, one value or several,
replaces both.

The values that a key takes in a sweep, as the overrides that give them: `["seed=0", "seed=1"]`.

They are written in Hydra's own grammar, `0.1,0.2`, `range(5)`, `glob(*)`, or stand in YAML as a list.

Runs that a sweep leaves out.

Reads what a sweep varies: its settings, whose meaning stands in `bptt.sweeps.jobs.grammar`, and the command line.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from bptt.configuration.compose import parse_overrides
from bptt.configuration.errors import ConfigurationError, suggest, write_problem
from bptt.configuration.vocabulary import write_unknown_key

MOST: Final = 1_000_000  # values of a key, and runs of a sweep


_PLAIN_TEXT = re.compile(r"[A-Za-z_][\w./-]*")


_OTHER_TYPES = {"null", "true", "false", "nan", "inf"}


def strip_key(override: str) -> str:
    """The key that an override is about, without the + or ~ before it."""
    return override.partition("=")[0].lstrip("+~")


def expand_override(override: Override, problems: list[str]) -> list[str]:
    """The overrides, of one value each, that an override stands for; `problems` says why there is none."""
    if override.is_delete():
        return [str(override.input_line)]
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={_text(override.value(), override.get_value_element_as_str())}"]
    line, swept = override.input_line, override.value()
    if isinstance(swept, ChoiceSweep | RangeSweep) and swept.shuffle:
        problems.append(f"{line}: shuffle gives another order each time; the order of runs has no meaning here")
        return []
    if not override.is_discrete_sweep():
        problems.append(f"{line}: neither a list of values nor a range")
        return []
    try:
        found = list(islice(override.sweep_iterator(transformer=_element), MOST + 1))
    except (ValueError, HydraException) as error:
        problems.append(f"{line}: {error}")
        return []
    if not found or len(found) > MOST:
        problems.append(f"{line}: holds no value" if not found else f"{line}: holds more than {MOST:,} values")
        return []
    return [f"{key}={value}" for value in found]


def expand_values(key: str, values: Any, loader: ConfigLoader | None, problems: list[str]) -> list[str]:
    """The overrides for a key of a file: its values are a list, a text in Hydra's grammar, or a single value."""
    if isinstance(values, str):
        texts = [values]
    else:
        texts = [write_in_grammar(value) for value in (values if isinstance(values, list) else [values])]
    if not texts:
        problems.append(f"{key}=[]: holds no value")
    parsed, unread = parse_overrides([f"{key}={text}" for text in texts], loader)
    problems += unread
    return [text for override in parsed for text in expand_override(override, problems)]


def comparable(overrides: Iterable[str]) -> dict[str, object]:
    """The value that each override gives: equal for `1e-3` and `0.001`, not for `1` and `true`.

    Of one that can't be read, which is told of where the jobs are composed, its text.
    """
    texts = list(overrides)
    parsed, _ = parse_overrides(texts)
    return dict(zip(texts, texts, strict=True)) | {str(o.input_line): _comparable(o) for o in parsed}


def _comparable(override: Override) -> object:
    value = override.value()
    return float(value) if type(value) in (int, float) else repr(value)  # type: ignore[arg-type]


def _element(value: Any) -> str:
    return _text(value, Override._get_value_element_as_str(value))


def _text(value: Any, as_hydra_has_it: str) -> str:
    return str(value).lower() if isinstance(value, bool) else as_hydra_has_it


def write_in_grammar(value: Any) -> str:
    """A plain value in Hydra's grammar, such that it is read as the same value: 0.1, null, 'two words', '0.1'."""
    if isinstance(value, str):
        plain = _PLAIN_TEXT.fullmatch(value) and value.lower() not in _OTHER_TYPES
        return value if plain else QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return "[" + ",".join(map(write_in_grammar, value)) + "]"
    if isinstance(value, Mapping):
        items = (f"{write_in_grammar(str(key))}:{write_in_grammar(item)}" for key, item in value.items())
        return "{" + ",".join(items) + "}"
    return _element(value)


Job = tuple[str, ...]  # the overrides of a run


@dataclass(frozen=True)
class Exclusion:
    """An entry of `exclude`: how it is written, and the overrides of each of its keys, of which a run must have one."""

    written: str
    overrides: Mapping[str, Sequence[str]]


def without_excluded(
    products: Sequence[tuple[Sequence[Job], Sequence[Exclusion]]], commanded: Iterable[str], problems: list[str]
) -> list[Job]:
    """The jobs of all products, without those that a product's exclusions leave out.

    commanded  keys of which the command line speaks: an exclusion may well find nothing after that
    """
    exclusions = {id(exclusion): exclusion for _, own in products for exclusion in own}
    if not exclusions:
        return [job for jobs, _ in products for job in jobs]
    texts = dict.fromkeys(text for jobs, _ in products for job in jobs for text in job)
    texts |= dict.fromkeys(
        text for entry in exclusions.values() for found in entry.overrides.values() for text in found
    )
    value_of = comparable(texts)
    excluded = {
        number: {key: {value_of[text] for text in found} for key, found in entry.overrides.items()}
        for number, entry in exclusions.items()
    }
    kept, used = list[Job](), set[int]()
    for jobs, own in products:
        for job in jobs:
            has = {strip_key(text): value_of[text] for text in job}
            hits = [
                id(entry)
                for entry in own
                if all(has.get(key, _NOTHING) in values for key, values in excluded[id(entry)].items())
            ]
            used.update(hits)
            if not hits:
                kept.append(job)
    swept, said = {strip_key(text) for jobs, _ in products for job in jobs for text in job}, set(commanded)
    for number, entry in exclusions.items():
        problems += [f"{entry.written}: {key} is not swept" for key in entry.overrides if key not in swept]
        if number not in used and entry.overrides.keys() <= swept - said:
            problems.append(f"{entry.written}: no run has this")
    if used and not kept:
        problems.append("exclude: leaves no run")
    return kept


_NOTHING = object()


#: Keys that advance together: at each place the overrides that give them their values.
Axis = list[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the command line, a union or all unions have: axes, of which every combination is meant, and exclusions."""

    axes: tuple[Axis, ...] = ()
    seeds: tuple[Axis, ...] = ()
    exclude: tuple[Exclusion, ...] = ()

    @property
    def keys(self) -> set[str]:
        return {strip_key(text) for axis in (*self.axes, *self.seeds) for text in axis[0]}


class Reader:
    """Reads what a sweep varies; `problems` holds a line for everything that is wrong."""

    def __init__(self, loader: ConfigLoader | None) -> None:
        self._loader = loader
        self.problems: list[str] = []

    def command(self, overrides: Sequence[str]) -> Part:
        """What the command line says, without Hydra's own overrides."""
        parsed, unread = parse_overrides(overrides, self._loader)
        self.problems += unread
        axes = [_axis(expand_override(override, self.problems)) for override in parsed]
        for axis in axes:
            if len(axis) > 1 and strip_key(axis[0][0]) == "sweep":
                self.problems.append(f"sweep={','.join(text.partition('=')[2] for (text,) in axis)}: one at a time")
        return Part(axes=tuple(axis for axis in axes if axis))

    def part(self, where: str, node: Any, settings: Sequence[str]) -> Part:
        """What a node says, in which these settings may stand; problems name it by `where` it is."""
        values = self._mapping(where, node)
        for name in values:
            if name not in settings and name != "_target_":
                self.problems.append(write_unknown_key(f"{where}.{name}", values[name], settings))
        axes = [_axis(texts) for texts in self._columns(f"{where}.params", values.get("params") or {}).values()]
        for number, group in enumerate(self.items(f"{where}.zip", values.get("zip"))):
            axes += self._zipped(f"{where}.zip[{number}]", group)
        part = Part(
            axes=tuple(axis for axis in axes if axis),
            seeds=self._seeds(f"{where}.seeds", values.get("seeds")),
            exclude=tuple(
                Exclusion(f"{where}.exclude[{number}]", self._columns(f"{where}.exclude[{number}]", entry))
                for number, entry in enumerate(self.items(f"{where}.exclude", values.get("exclude")))
            ),
        )
        often = Counter(strip_key(text) for axis in (*part.axes, *part.seeds) for text in axis[0])
        self.problems += [f"{where}: {key} is swept twice" for key, times in often.items() if times > 1]
        return part

    def unions(self, sweeper: Mapping[str, Any]) -> list[Part]:
        """What each union says, by whichever name they go; both names at once are refused."""
        name = _UNIONS_OF_BEFORE if sweeper.get(_UNIONS_OF_BEFORE) else "unions"
        if name == _UNIONS_OF_BEFORE and sweeper.get("unions"):
            self.problems.append("hydra.sweeper.blocks: the same as hydra.sweeper.unions, which is given too")
        nodes = self.items(f"hydra.sweeper.{name}", sweeper.get(name))
        return [self.part(f"hydra.sweeper.{name}[{n}]", node, _UNION) for n, node in enumerate(nodes)]

    def items(self, where: str, node: Any) -> list[Any]:
        """The items of a list that may be absent."""
        if node is None or isinstance(node, list):
            return node or []
        self.problems.append(write_problem(where, node, "must be a list"))
        return []

    def _mapping(self, where: str, node: Any) -> dict[str, Any]:
        if isinstance(node, Mapping):
            return {str(key): value for key, value in node.items()}
        self.problems.append(write_problem(where, node, "must be a mapping"))
        return {}

    def _columns(self, where: str, node: Any) -> dict[str, list[str]]:
        columns = {}
        for key, values in self._mapping(where, node).items():
            if key.startswith(("hydra.", "hydra/")) or key == "sweep":
                self.problems.append(f"{where}: {key} can't be swept")
            else:
                columns[strip_key(key)] = expand_values(key, values, self._loader, self.problems)
        return columns

    def _zipped(self, where: str, group: Any) -> list[Axis]:
        columns = self._columns(where, group)
        if len({len(texts) for texts in columns.values()}) > 1:
            counts = ", ".join(f"{key} {len(texts)}" for key, texts in columns.items())
            self.problems.append(f"{where}: the keys advance together, but have different numbers of values: {counts}")
            return []
        return [list(zip(*columns.values(), strict=True))]

    def _seeds(self, where: str, count: Any) -> tuple[Axis, ...]:
        if count is None:
            return ()
        if type(count) is not int or not 1 <= count <= MOST:
            self.problems.append(write_problem(where, count, f"must be a whole number at least 1 and at most {MOST:,}"))
            return ()
        return (_axis([f"seed={seed}" for seed in range(count)]),)


def _axis(overrides: Sequence[str]) -> Axis:
    return [(text,) for text in overrides]


_UNION: Final = ("params", "zip", "seeds", "exclude")


_SETTINGS: Final = (*_UNION, "unions", "halving")
_UNIONS_OF_BEFORE: Final = "blocks"


def expand(
    sweeper: Mapping[str, Any], overrides: Sequence[str], loader: ConfigLoader | None = None
) -> list[tuple[str, ...]]:
    """The overrides of each run. What comes last changes first, as in Hydra's own sweeper, and `seeds` before all else.

    sweeper    the settings, as the node hydra.sweeper holds them
    overrides  of the command line, without Hydra's own
    loader     knows what glob(*) finds

    Raises ConfigurationError with a line for everything that is wrong.
    """
    reader = Reader(loader)
    command = reader.command(overrides)
    common = reader.part("hydra.sweeper", {k: v for k, v in sweeper.items() if k != _UNIONS_OF_BEFORE}, _SETTINGS)
    unions = reader.unions(sweeper) or [Part()]
    sweeps = [(_combined([common, union, command]), [*common.exclude, *union.exclude]) for union in unions]
    count = sum(math.prod(map(len, axes)) for axes, _ in sweeps)
    if count > MOST:
        reader.problems.append(f"the sweep has {count:,} runs; it may have {MOST:,}")
    if reader.problems:
        raise ConfigurationError(reader.problems)
    products = [
        ([tuple(itertools.chain(*rows)) for rows in itertools.product(*axes)], exclude) for axes, exclude in sweeps
    ]
    jobs = without_excluded(products, command.keys, reader.problems)
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return jobs


def find_differing(jobs: Sequence[Sequence[str]], keys: Sequence[str] | None = None) -> list[dict[str, str]]:
    """What tells each job from the others as it is typed: key → value of those of its overrides that not all have.

    keys  what to tell of instead
    """
    values = [{strip_key(text): text.partition("=")[2] for text in job if "=" in text} for job in jobs]
    if keys is None:
        everywhere = dict.fromkeys(key for job in values for key in job)
        keys = [key for key in everywhere if len({job.get(key) for job in values}) > 1]
    return [{key: job[key] for key in keys if key in job} for job in values]


def check_conditions(conditions: Sequence[str], swept: Sequence[Mapping[str, str]]) -> None:
    """Raise ConfigurationError, with a line for each, where conditions are no swept keys; swept as `find_differing`."""
    keys = [key for key in dict.fromkeys(key for job in swept for key in job) if key != "seed"]
    known = f" (swept: {', '.join(keys) or 'nothing but seeds'})"
    lines = [
        write_problem("conditions", [key], f"must be a swept key{suggest(key, keys) or known}")
        for key in conditions
        if key not in keys
    ]
    if lines:
        raise ConfigurationError(lines)


def _combined(parts: Sequence[Part]) -> list[Axis]:
    """The axes of parts, without the keys of which a later part speaks; the seeds last."""
    combined: list[Axis] = []
    for axes in ([part.axes for part in parts], [part.seeds for part in parts]):
        for place, own in enumerate(axes):
            later = set[str]().union(*(part.keys for part in parts[place + 1 :]))
            left = [[tuple(text for text in row if strip_key(text) not in later) for row in axis] for axis in own]
            combined += [axis for axis in left if axis[0]]
    return combined
