"""What the store has of a run in a few words: its tags, its configuration as MLflow's params, and its name.

What tags are called, MLflow's own and bptt's, is written here alone.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bptt.tracking.store.address import hide_passwords

#: By which a run is found again when the process that began it died before it could note the run's id; no two runs
#: have the same.
KEY_TAG: Final = "bptt.key"

#: A sweep's name, of its own run and of those below it.
SWEEP_TAG: Final = "bptt.sweep"

#: Of a run below another: the id of that.
PARENT_TAG: Final = "mlflow.parentRunId"

#: Of each run that a sweep has, trained in it or taken from an earlier one, with the id of the sweep's own run behind
#: it: the setting that it has there. A run has one for each of its sweeps.
SETTING_TAG: Final = "bptt.setting."

DIGEST_TAG: Final = "bptt.digest"

OUTCOME_TAG: Final = "bptt.outcome"

#: Of a run that was trained to choose a tuned value, or to confirm the best setting: which.
STAGE_TAG: Final = "bptt.stage"

#: Of a run of a sweep of which the store has less than its folder: `last`, or `full` once that was sent after all.
DETAIL_TAG: Final = "bptt.detail"

#: Of a run that halving stopped: that it did; and at which update and why.
PRUNED_TAG: Final = "bptt.pruned"
GIVEN_UP_TAG: Final = "bptt.given_up"

#: Of a sweep's own run: the path of its page among MLflow's.
VIEW_TAG: Final = "bptt.view"

#: Of a sweep's own run: the setting that did best, of each condition.
BEST_TAG: Final = "bptt.best"

#: Of an experiment: what the page of the sweep shows whose own run's id stands behind it.
SHARED_VIEW_TAG: Final = "mlflow.sharedViewState."

#: What a run's name is in MLflow's pages.
NAME_TAG: Final = "mlflow.runName"

#: A description in Markdown.
NOTE_TAG: Final = "mlflow.note.content"

USER_TAG: Final = "mlflow.user"

#: The command that began a run.
COMMAND_TAG: Final = "mlflow.source.name"

SOURCE_TYPE_TAG: Final = "mlflow.source.type"

COMMIT_TAG: Final = "mlflow.source.git.commit"

#: Whether the program's work tree differed from its commit.
DIRTY_TAG: Final = "bptt.git.dirty"

#: With a package's name behind it: its version.
VERSION_TAG: Final = "bptt.version."


_FORBIDDEN = re.compile(r"[^\w\-. :/]", re.ASCII)


_LONGEST_KEY = 250


_LONGEST_VALUE = 6000


_MOST_KNOWN: Final = 4096  # parts that are remembered


#: Of a configuration: the tags that a user gave, name → text.
USER_TAGS: Final = "tags"

_NOT_OF_THE_USER: Final = ("mlflow.", "bptt.")


def read_user_tags(config: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a user gave a run, by its resolved configuration."""
    given = config.get(USER_TAGS)
    return {str(name): str(text) for name, text in given.items()} if isinstance(given, Mapping) else {}


def select_user_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Of all tags that a run of the store has, those that a user gave it, wherever that was."""
    return {name: text for name, text in tags.items() if not name.startswith(_NOT_OF_THE_USER)}


def hide_secrets(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """A whole resolved configuration without a password that the store's address may hold."""
    tracking = resolved["tracking"]
    uri = tracking["uri"]
    return {**resolved, "tracking": {**tracking, "uri": uri and hide_passwords(uri)}}


def flatten_config(config: Mapping[str, Any]) -> dict[str, str]:
    """The whole configuration, one entry per value, nested keys joined with dots.

    Values are written as on the command line (null, true, 0.1, [1, 2]); an empty group stays visible as {}. What MLflow
    refuses in a key becomes _, and a value of more than 6,000 characters is cut with a note: config.yaml has it whole.
    A user's tags are left out: they are tags.
    """
    params: dict[str, str] = {}
    for path, value in _list_leaves({key: part for key, part in config.items() if key != USER_TAGS}, ()):
        params[_find_unused(_make_key(path), params)] = _cut(_write(value))
    return params


class Flattener:
    """Flattens many configurations, see `flatten_config`; a part that several have is looked at once."""

    def __init__(self) -> None:
        # With the part, so that its id stays its own.
        self._known: dict[tuple[str, int], tuple[object, dict[str, str]]] = {}

    def __call__(self, config: Mapping[str, Any]) -> dict[str, str]:
        """What `flatten_config` makes of a configuration whose parts stay as they are."""
        params: dict[str, str] = {}
        count = 0
        for key, value in config.items():
            own = self._flatten(key, value)
            params |= own
            count += len(own)
        return params if len(params) == count else flatten_config(config)

    def _flatten(self, key: str, value: object) -> dict[str, str]:
        if not isinstance(value, Mapping):
            return flatten_config({key: value})
        known = self._known.get((key, id(value)))
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[key, id(value)] = value, flatten_config({key: value})
        return known[1]


def _list_leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and (value or not path):
        for key, inner in value.items():
            yield from _list_leaves(inner, (*path, str(key)))
    else:
        yield path, value


def _make_key(path: tuple[str, ...]) -> str:
    return _FORBIDDEN.sub("_", ".".join(path))[:_LONGEST_KEY]


def _find_unused(key: str, taken: Mapping[str, str]) -> str:
    if key not in taken:
        return key
    number = 2
    while (candidate := f"{key[: _LONGEST_KEY - 8]}_{number}") in taken:
        number += 1
    return candidate


def _write(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_VALUE:
        return text
    note = f" ... (cut: {len(text)} characters; config.yaml has them all)"
    return text[: _LONGEST_VALUE - len(note)] + note


_SEED: Final = "seed"


_WHERE: Final = "tracking."


def list_swept(params: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Each run's params that tell it from the others.

    Where choices of a group differ (`model`: elman, lstm), what only follows from the choices is left out.
    """
    keys = dict.fromkeys(key for one in params for key in one if not key.startswith(_WHERE))
    differing = [key for key in keys if len({one.get(key) for one in params}) > 1]
    choices = [key for key in differing if any(other.startswith(f"{key}.") for other in keys) or _chooses(key, params)]
    kept = [key for key in differing if key in choices or key == _SEED or not _follows(key, choices, params)]
    # As on the command line, where the seed stands last.
    kept.sort(key=lambda key: (key == _SEED, key not in choices))
    return [{key: one[key] for key in kept if key in one} for one in params]


def _chooses(key: str, params: Sequence[Mapping[str, str]]) -> bool:
    """Whether a key is that of a choice of many values at once, as `experiment` is."""
    return key in ("experiment", "sweep") and all("." not in one.get(key, "") for one in params)


def _follows(key: str, choices: Sequence[str], params: Sequence[Mapping[str, str]]) -> bool:
    """Whether the choices decide the value of a key."""
    values: dict[tuple[str | None, ...], set[str | None]] = {}
    for one in params:
        values.setdefault(tuple(one.get(choice) for choice in choices), set()).add(one.get(key))
    return bool(choices) and all(len(found) == 1 for found in values.values())


def name_run(resolved: Mapping[str, Any]) -> str:
    """The name of a run on its own: `leftbit elman seed=0`."""
    choices = [str(resolved[group]["_target_"]).split(".")[-2] for group in ("task", "model")]
    return " ".join([*choices, f"seed={resolved['seed']}"])


def name_swept(swept: Mapping[str, str], short: Mapping[str, str]) -> str:
    """The name of a run among those of its sweep, by what was swept: `alpha=0.1 hidden_size=8 seed=3`."""
    ordered = sorted(swept, key=lambda key: key == "seed")
    return " ".join(f"{short[key]}={swept[key]}" for key in ordered)
