"""Runs that a sweep leaves out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bptt.sweeps.values import comparable, key_of

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
            has = {key_of(text): value_of[text] for text in job}
            hits = [
                id(entry)
                for entry in own
                if all(has.get(key, _NOTHING) in values for key, values in excluded[id(entry)].items())
            ]
            used.update(hits)
            if not hits:
                kept.append(job)
    swept, said = {key_of(text) for jobs, _ in products for job in jobs for text in job}, set(commanded)
    for number, entry in exclusions.items():
        problems += [f"{entry.written}: {key} is not swept" for key in entry.overrides if key not in swept]
        if number not in used and entry.overrides.keys() <= swept - said:
            problems.append(f"{entry.written}: no run has this")
    if used and not kept:
        problems.append("exclude: leaves no run")
    return kept


_NOTHING = object()
