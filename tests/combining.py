"""Choices of several groups in one configuration, so that all of them are composed in few."""

from collections.abc import Iterable, Mapping, Sequence

from bptt.configuration.vocabulary import find_conf_folder

#: Groups whose choices go with any of the others; each stands as often as there are choices of the largest.
_TOGETHER = (("task", "model", "init", "optimizer", "clip"), ("schedule", "regularizer"))
#: What goes with few, and stands alone.
_ALONE = {("init", "file"), ("optimizer", "hessian_free"), ("task", "arrays")}


def list_files(but: Iterable[str] = ()) -> list[tuple[str, str]]:
    """(group, choice) of every file in `conf`, but for those of these groups."""
    found = ((path.parent.name, path.stem) for path in sorted(find_conf_folder().glob("*/*.yaml")))
    return [choice for choice in found if choice[0] not in but]


def combine(choices: Iterable[tuple[str, str]], files: Mapping[tuple[str, str], Sequence[str]]) -> list[list[str]]:
    """Overrides that choose each of these choices at least once.

    files  what some of them need beside themselves
    """
    left = [choice for choice in choices if choice not in _ALONE and choice not in files]
    found = [[f"{group}={name}", *files.get((group, name), ())] for group, name in choices if (group, name) not in left]
    for groups in _TOGETHER:
        names = {group: [name for one, name in left if one == group] for group in groups}
        found += [
            [f"{group}={own[place % len(own)]}" for group, own in names.items() if own]
            for place in range(max(map(len, names.values())))
        ]
        left = [choice for choice in left if choice[0] not in groups]
    return [*found, *([f"{group}={name}"] for group, name in left)]
