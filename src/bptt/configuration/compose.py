"""Hydra's composition, with what is wrong said in one line each.

Hydra names the first thing that is wrong, in its own terms. So when it refuses, the overrides are looked at one by one,
and composed once more without its strictness: `check_configuration` then finds every unknown key, and what was meant by
it.
"""

import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bptt.configuration.build import check_configuration
from bptt.configuration.errors import ConfigurationError, cut, suggest, write_problem
from bptt.configuration.hydra import version_base
from bptt.configuration.replaced import Loader
from bptt.configuration.trust import find_unasked, find_untrusted, find_untrusted_folders, read_allowed
from bptt.configuration.vocabulary import explain_words, find_conf_folder, join_torn, suggest_choice

#: Held while Hydra composes or parses: it does both with what all threads of a process have in common.
COMPOSING: Final = threading.RLock()

_SEARCHPATH: Final = "hydra.searchpath"


_SWEEPER: Final = "hydra.sweeper"


_DEEPEST: Final = 50  # brackets within brackets


_QUOTED: Final = "; a value with blanks, brackets or any of =,:'\" is written key='…'"


_MERGING: Final = {
    "Cannot merge DictConfig with ListConfig": "must be a list where a list stands, a mapping where one does"
}  # in OmegaConf's words


def compose(overrides: Sequence[str] = (), folder: Path | None = None) -> DictConfig:
    """The configuration of a run that `bptt train` would compose, for use from Python; folder as in --config-dir.

    Raises ConfigurationError.
    """
    with COMPOSING, initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        loader = GlobalHydra.instance().config_loader()
        if folder is not None:
            add_folder(loader.get_search_path(), folder)
            loader = Loader(loader.get_search_path())
        return Composer(loader, "config").compose(overrides)


def _read_allowed(parsed: Sequence[Override]) -> frozenset[str]:
    """The packages that the command line allows."""
    given = [override.value() for override in parsed if str(override.get_key_element()).lstrip("+~") == "allow"]
    return frozenset(str(package) for value in given if isinstance(value, list) for package in value)


def add_folder(path: ConfigSearchPath, folder: Path) -> None:
    """Let Hydra look for choices in a folder too, after the shipped ones."""
    path.prepend("command-line", f"file://{folder.absolute()}", SearchPathQuery(provider="schema", path=None))


def parse_overrides(texts: Iterable[str], loader: ConfigLoader | None = None) -> tuple[list[Override], list[str]]:
    """The overrides that can be read, and a line for each of the others; the loader knows what glob(*) finds."""
    with COMPOSING:
        return _parse(texts, OverridesParser.create(config_loader=loader))


def _parse(texts: Iterable[str], parser: OverridesParser) -> tuple[list[Override], list[str]]:
    parsed: list[Override] = []
    lines: list[str] = []
    given = [*texts]
    alone = {*given}
    numbers: dict[str, Override] = {}
    for text in join_torn(given):
        plain = _KEY_AND_NUMBER.fullmatch(text)
        if plain is not None and plain["key"] in numbers:
            parsed.append(replace(numbers[plain["key"]], _value=int(plain["number"]), input_line=text))
            continue
        if text not in alone:
            lines.append(f"{cut(text)}: a shell parts it at its blanks{explain_words(text)}")
            continue
        if _count_depth(text) > _DEEPEST:
            lines.append(f"{cut(text)}: brackets stand in brackets more than {_DEEPEST} deep")
            continue
        try:
            override = parser.parse_overrides([text])[0]
        except (HydraException, ValueError) as error:  # the latter of a number with thousands of digits
            lines.append(_explain_grammar(text, error))
            continue
        if override.key_or_group:
            parsed.append(override)
            if plain is not None and type(override.value()) is int:
                numbers[plain["key"]] = override
        else:
            lines.append(_explain_grammar(text, ValueError()))
    return parsed, lines


# What the grammar, which takes a millisecond, makes of another whole number for the same key, is known.
_KEY_AND_NUMBER: Final = re.compile(r"(?P<key>[A-Za-z_][\w.]*)=(?P<number>0|[1-9][0-9]{0,17})", re.ASCII)


def _check_current_folder() -> None:
    """Raise ConfigurationError where Hydra, which notes the current folder, takes its name for another one."""
    folder = str(Path.cwd())
    if "${" in folder:
        raise ConfigurationError([f"{folder}: Hydra looks ${{…}} up, in a folder's name too; rename the folder"])


class Composer:
    """Composes configurations from the folders that a loader knows; ConfigurationError says why one can't be had."""

    def __init__(self, loader: ConfigLoader, config_name: str) -> None:
        self.loader = loader if isinstance(loader, Loader) else Loader(loader.get_search_path())
        self._config_name = config_name
        self._known_options: dict[str, list[str]] = {}

    def compose(
        self, overrides: Sequence[str], mode: RunMode = RunMode.RUN, given: Iterable[str] | None = None
    ) -> DictConfig:
        """The configuration of a run, or, with RunMode.MULTIRUN, of a sweep: without the values that are swept.

        given  of a job of a sweep, keys that are set in it later
        """
        with COMPOSING:
            return self._compose(overrides, mode, given)

    def _compose(self, overrides: Sequence[str], mode: RunMode, given: Iterable[str] | None) -> DictConfig:
        _check_current_folder()
        self.loader.given = None if given is None else frozenset(given)
        parsed, lines = self.parse(overrides)
        allow = _read_allowed(parsed)
        # Before anything is composed, which imports what it is looked for in.
        if elsewhere := find_untrusted_folders(self._folders(parsed), allow):
            raise ConfigurationError(elsewhere)
        lines += _find_given_twice(parsed)
        # Hydra would merge the choices of a list.
        lines += [self._wrong_choice(override) for override in parsed if isinstance(override.value(), list)]
        if mode is RunMode.RUN:
            lines += [_refuse_unasked_sweep(override) for override in parsed if override.is_sweep_override()]
        if any(lines):
            raise ConfigurationError(filter(None, [*lines, *self._diagnosis(parsed)]))
        try:
            config = self._load([str(override.input_line) for override in parsed], mode)
        except Exception as error:  # of Hydra's, OmegaConf's and YAML's many kinds: all are about what was asked for
            of_the_system = isinstance(error, OSError) and error.errno  # a key that is too long for the name of a file
            lines = [] if of_the_system else self._diagnosis(parsed)
            raise ConfigurationError(lines or [_put_in_one_line(error)]) from None
        if lines := [*find_unasked(sorted(read_allowed(config)), allow), *find_untrusted(config, allow)]:
            raise ConfigurationError(lines)
        if not isinstance(config.hydra.sweeper, DictConfig):
            raise ConfigurationError([write_problem(_SWEEPER, config.hydra.sweeper, "must be a mapping")])
        return config

    def sweeps(self, overrides: Sequence[str]) -> bool:
        """Whether some override gives several values."""
        return any(override.is_sweep_override() for override in self.parse(overrides)[0])

    def parse(self, overrides: Iterable[str]) -> tuple[list[Override], list[str]]:
        """The overrides that can be read, and a line for each of the others."""
        return parse_overrides(overrides, self.loader)

    def take_told(self) -> list[str]:
        """A line for everything that fell away, as in `bptt.configuration.replaced`, since this was asked last."""
        return self.loader.take_told()

    def files(self, overrides: Sequence[str]) -> list[str]:
        """The files that a run with these overrides is composed of, by their names in a folder: `model/lstm`."""
        found = self.loader.compute_defaults_list(self._config_name, [*overrides], RunMode.RUN)
        return [default.config_path for default in found.defaults if default.config_path is not None]

    def asks_hydra(self, choices: Iterable[str]) -> bool:
        """Whether the file of a choice, given as an override, asks Hydra for something."""
        try:
            found = [self.loader.repository.load_config(choice.replace("=", "/")) for choice in choices]
        except Exception:  # which is told of when it is composed
            return False
        return any(one is not None and OmegaConf.is_dict(one.config) and "hydra" in one.config for one in found)

    def is_group(self, key: str) -> bool:
        """Whether the key names a group of choices."""
        return bool(self._options(key))

    def _folders(self, parsed: Sequence[Override]) -> Any:
        """Where choices are to be looked for beside the folders that are known: hydra.searchpath."""
        for override in parsed:
            if override.get_key_element().lstrip("+") == _SEARCHPATH:
                return override.value()
        try:
            primary = self.loader.repository.load_config(self._config_name)
            return (primary and OmegaConf.select(primary.config, _SEARCHPATH)) or []
        except Exception:  # which is told of when it is composed
            return []

    def _load(self, overrides: list[str], mode: RunMode) -> DictConfig:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="provider=hydra.searchpath")
            return self.loader.load_configuration(config_name=self._config_name, overrides=overrides, run_mode=mode)

    def _options(self, group: str) -> list[str]:
        if group not in self._known_options:
            # The loader itself would copy all that it knows for each group, and for each key, which may be one's name.
            self._known_options[group] = sorted(self.loader.repository.get_group_options(group))
        return self._known_options[group]

    def _diagnosis(self, parsed: Sequence[Override]) -> list[str]:
        """Everything that is wrong with overrides, each of which can be read."""
        lines, kept, lost = [], [], set()
        for override in parsed:
            if override.is_sweep_override():
                continue
            if line := self._wrong_choice(override):
                lines.append(line)
                lost.add(f"{override.key_or_group}.")
            else:
                kept.append(self._lenient(override))
        while True:
            try:
                check_configuration(self._load(kept, RunMode.RUN))
            except ConfigurationError as error:
                # A choice that could not be had would have had other keys than the one that stood in for it.
                return lines + [line for line in error.lines if not line.startswith(tuple(lost))]
            except Exception as error:
                if (told := _find_unmerged(error)) not in kept:
                    return lines if lost else [*lines, self._unreadable(parsed) or _put_in_one_line(error)]
                lines.append(_put_in_one_line(error))
                kept.remove(told)
            else:
                return lines

    def _unreadable(self, parsed: Sequence[Override]) -> str:
        """The line for the file of a choice that can't be read by itself; empty where all can."""
        for override in parsed:
            if self.is_group(override.key_or_group) and isinstance(choice := override.value(), str):
                name = f"{override.key_or_group}/{choice}"
                try:
                    found = self.loader.repository.load_config(name)
                    OmegaConf.to_container(found.config if found else OmegaConf.create())
                except Exception as error:
                    says = _put_in_one_line(error)
                    return says if f"{name}.yaml" in says else f"{name}.yaml: {says}"
        return ""

    def _wrong_choice(self, override: Override) -> str:
        """The line for an override whose group has no such choice; empty where nothing is wrong with it."""
        group, choice = override.key_or_group, override.value()
        options = self._options(group) if not override.is_delete() else []
        if not options or choice in options:
            return ""
        meant = suggest_choice(group, choice, options)
        return write_problem(group, choice, f"no such choice{meant} (choices: {', '.join(options)})")

    def _lenient(self, override: Override) -> str:
        """The override, such that it may add a key: `check_configuration` finds out whether that means something."""
        text = str(override.input_line)
        if (
            override.is_delete()
            or self.is_group(override.key_or_group)
            or override.is_hydra_override()
            or override.package is not None
        ):
            return text
        return "++" + text.lstrip("+")


def _find_given_twice(parsed: Sequence[Override]) -> Iterator[str]:
    before: dict[str, str] = {}
    for override in parsed:
        key, text = str(override.get_key_element()).lstrip("+~"), str(override.input_line)
        if key in before:
            yield f"{text}: given twice, as {before[key]} before"
        before[key] = text


def _refuse_unasked_sweep(override: Override) -> str:
    text = str(override.input_line)
    key, _, value = text.partition("=")
    return f"{text}: several values are a sweep, which needs -m (a list is written {key}=[{value}])"


def _explain_grammar(text: str, error: Exception) -> str:
    shown = cut(text)
    if text.partition("=")[0].strip("+~@ ") == "" or ("=" not in text and not text.startswith("~")):
        return f"{shown}: not of the form key=value{explain_words(text)}"
    if isinstance(error, ValueError) and "integer string conversion" in str(error):
        return f"{shown}: a number of too many digits"
    if found := re.search(r"while evaluating .*?: (.+)", str(error)):
        return f"{shown}: {found[1]}"
    meant = explain_words(text) if " " in text else ""
    return f"{shown}: can't be read{meant or _QUOTED}"


def _count_depth(text: str) -> int:
    """How deep brackets stand in brackets."""
    depth = deepest = 0
    for character in text:
        depth += (character in "[{(") - (character in "]})")
        deepest = max(deepest, depth)
    return deepest


def _find_unmerged(error: Exception) -> str:
    """The override that Hydra could not put where it belongs, where that is what it says; otherwise empty."""
    found = re.match(r"Error merging override (.+)", str(error), re.DOTALL)
    return found[1] if found else ""


def _suggest_launcher_key(key: str) -> str:
    """Which key of the launcher was meant, as the end of a sentence; empty where none is near."""
    group, _, name = key.rpartition(".")
    launcher = {"hydra": {"launcher": ConfigStore.instance().load("hydra/launcher/lanes.yaml").node}}
    node = OmegaConf.select(OmegaConf.create(launcher), group)
    is_launchers = group.startswith("hydra.launcher") and isinstance(node, DictConfig)
    return suggest(name, map(str, node), f"{group}.") if is_launchers else ""


def _put_in_one_line(error: Exception) -> str:
    """What Hydra says, where there is nothing better to say."""
    text = str(error)
    if type(error) is KeyError:  # the one thing of which Hydra lets Python tell
        return f"hydra.job.env_copy=[{error.args[0]}]: no such variable; variables are set before the command"
    if found := re.match(r"Sweeping over Hydra's configuration is not supported : '(.+)'", text):
        return f"{found[1]}: Hydra's own settings are not swept"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        options = f" (choices: {', '.join(error.options)})" if error.options else ""
        return f"{error.missing_cfg_file}: no such choice{options}"
    if found := re.match(r"Multiple values for (.+)\. To override a value use 'override (.+): (.+)'", text):
        return f"+{found[2]}={found[3]}: chosen already; leave out the + (in a file: override /{found[2]}: {found[3]})"
    if found := re.match(r"Could not append to config. An item is already at '(.+)'", text):
        return f"+{found[1]}: the key is there already; leave out the +"
    if found := re.match(r"Could not override '(.+)'", text):
        # That others mean nothing was found out before, so this one does.
        if found[1].startswith("hydra.") and not found[1].startswith(f"{_SWEEPER}."):
            return f"{found[1]}: unknown key{_suggest_launcher_key(found[1])}"
        return f"{found[1]}: in none of the files; write +{found[1]}=…"
    if found := re.match(r"Could not delete from config. '(.+)' does not exist", text):
        return f"~{found[1]}: no such key"
    if found := re.match(r"Could not delete from config. The value of '(.+)' is (.+) and not (.+)\.$", text):
        return f"~{found[1]}={found[3]}: its value is {found[2]}"
    if found := re.match(r"provider=hydra.searchpath.*, path=(.*) is not available", text):
        return f"{_SEARCHPATH}=[{found[1]}]: no such folder"
    if found := re.match(r"In '(.+)': \w+ raised while composing config:\s+(.+)", text):
        return f"{found[1]}: {_MERGING.get(found[2].strip(), cut(found[2]))}"
    if "maximum recursion depth exceeded" in text:
        return "a value refers to itself"
    if override := _find_unmerged(error):
        cause = str(error.__cause__).partition("\n")[0]
        return f"{cut(override.lstrip('+'))}: {_MERGING.get(cause, cut(cause))}"
    return " ".join(text.split())
