"""Which runs of a source are meant: `SOURCE:12` is one, `SOURCE:model=lstm,alpha=0.1` those with these values."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from bptt.tracking.recording import Member

_NARROWING: Final = re.compile(r"\d+|[\w.@/+~-]+=.+", re.DOTALL)
# Commas that stand within brackets or quotes belong to a value.
_PARTS: Final = re.compile(r"""(?:[^,\[\]{}()'"]|\[[^\]]*\]|\{[^}]*\}|\([^)]*\)|'[^']*'|"[^"]*")+""")
_MOST_SHOWN: Final = 12


class SourceError(Exception):
    """What was named can't be found, or is not clear; the message is one line for the user."""


@dataclass(frozen=True)
class Narrowing:
    """The number of a run, or key → the values that are meant, as text."""

    number: int | None
    values: dict[str, list[str]]

    def of(self, members: Sequence[Member]) -> list[int]:
        """The numbers of the runs that are meant. Raises SourceError where there is none, or no such key."""
        if self.number is not None:
            if not any(member.number == self.number for member in members):
                last = max(member.number for member in members)
                raise SourceError(f":{self.number}: there is no such run; they are numbered 0 to {last}")
            return [self.number]
        left = list(members)
        for key, values in self.values.items():
            whole = _whole(key, members)
            for value in values:
                if not any(same(value, member.swept.get(whole)) for member in members):
                    raise SourceError(f":{key}={value}: no run has this value; there are {_values(whole, members)}")
            left = [member for member in left if any(same(value, member.swept.get(whole)) for value in values)]
        if not left:
            raise SourceError(f":{self}: no run has all of these values")
        return [member.number for member in left]

    def __str__(self) -> str:
        if self.number is not None:
            return str(self.number)
        return ",".join(f"{key}={','.join(values)}" for key, values in self.values.items())


def split(text: str) -> tuple[str, Narrowing | None]:
    """A source, and what narrows it; None: nothing does."""
    for colon in re.finditer(":", text):
        source, narrowing = text[: colon.start()], text[colon.end() :]
        within_quotes = source.count("'") % 2 or source.count('"') % 2
        if source and not within_quotes and _NARROWING.fullmatch(narrowing):
            return source, _read(narrowing)
    return text, None


def _read(text: str) -> Narrowing:
    if text.isdigit():
        return Narrowing(int(text), {})
    values: dict[str, list[str]] = {}
    for part in _PARTS.findall(text):
        key, equals, value = part.partition("=")
        if equals:
            values.setdefault(key.strip(), []).append(value.strip())
        else:
            next(reversed(values.values())).append(part.strip())
    return Narrowing(None, values)


def same(asked: str, value: str | None) -> bool:
    """Whether two texts are the same value: a number counts by its value, any other text without its quotes."""
    if value is None:
        return False
    try:
        return float(asked) == float(value)
    except ValueError:
        return asked.strip("'\"") == value.strip("'\"")


def _whole(key: str, members: Sequence[Member]) -> str:
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


def _values(key: str, members: Sequence[Member]) -> str:
    values = list(dict.fromkeys(member.swept[key] for member in members if key in member.swept))
    return ", ".join(values[:_MOST_SHOWN]) + (f", … ({len(values)} values)" if len(values) > _MOST_SHOWN else "")
