"""Whose the compiled kernels are: they run with the user's rights, so who could have written them has to be trusted.

What the cache holds is machine code and Numba's pickles, and nothing in a file could prove where it comes from. So the
owner and the mode of each file that would be loaded count, and of each folder and link on the way to it, as ssh looks
at those of keys. This is asked before the first of them is opened: unpickling one is running it.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bptt.configuration.errors import ConfigurationError, suggest, write_problem

VARIABLE: Final = "BPTT_CACHE_TRUST"
_MOST_LINKS: Final = 40
_ACCESS_LIST: Final = "system.posix_acl_access"


@dataclass(frozen=True)
class Gap:
    """The file, folder or link through which others could place kernels.

    says     in words how
    owner    the name of the user, or of the group after an @, that is not trusted; None: it is everybody
    is_mode  whether it is by the mode of what belongs to the user, who can change that
    """

    path: Path
    says: str
    owner: str | None = None
    is_mode: bool = False


def check_kernel_folder() -> None:
    """Raise ConfigurationError where a kernel that would be loaded could be of somebody who is not trusted.

    The user and root are, and those whom BPTT_CACHE_TRUST names: `alice,@lab`, users and the members of groups.
    """
    from numba import config

    from bptt.core.kernel import cache_folder, kernel_folder

    if config.CACHE_LOCATOR_CLASSES:
        says = "Numba would take kernels from elsewhere, of which nothing is known; unset it"
        raise ConfigurationError([write_problem("NUMBA_CACHE_LOCATOR_CLASSES", config.CACHE_LOCATOR_CLASSES, says)])
    folder = cache_folder()
    _refuse(folder, find_gap(folder))
    if not folder.exists():
        # In a folder of everybody's another user could make it before it is written to.
        with suppress(OSError):
            kernel_folder().mkdir(parents=True)
        _refuse(folder, find_gap(folder))


def _refuse(folder: Path, gap: Gap | None) -> None:
    if gap is None:
        return
    origin = "BPTT_CACHE_DIR=" if os.environ.get("BPTT_CACHE_DIR") else ""
    remedies = ["name a folder of your own with BPTT_CACHE_DIR=…"]
    if gap.is_mode:
        remedies.insert(0, shlex.join(["chmod", "go-w", str(gap.path)]))
    if gap.owner is not None:
        remedies.append(f"trust it with {VARIABLE}={gap.owner}, if that is meant")
    raise ConfigurationError([f"{origin}{folder}: kernels are code, and {gap.says}; {', or '.join(remedies)}"])


def find_gap(folder: Path) -> Gap | None:
    """Through what somebody who is not trusted could place kernels in a folder; None: nobody could.

    Raises ConfigurationError where BPTT_CACHE_TRUST names nobody.
    """
    if os.name != "posix":
        return None
    from bptt.core.kernel import kernel_hash

    owners = _Owners(*_read_trusted(os.environ.get(VARIABLE, ""), os.geteuid()))
    # The hash is itself kept in a file of `sources`; whichever kernels it leads to, they are looked at.
    gap = _find_on_way(folder, owners) or _find_within(folder / "sources", owners)
    return gap or _find_within(folder / kernel_hash()[:16], owners)


def _find_within(folder: Path, owners: "_Owners") -> Gap | None:
    """Of a folder, and of the files that it holds."""
    gap = _find_on_way(folder, owners)
    if gap is not None:
        return gap
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process was done with it
                status = entry.stat(follow_symlinks=False)
                path = Path(entry.path)
                gap = _find_on_way(path, owners) if stat.S_ISLNK(status.st_mode) else owners.find_gap(path, status)
                if gap is not None:
                    return gap
    return None


def _find_on_way(path: Path, owners: "_Owners") -> Gap | None:
    *way, end = _list_way(path)
    for step in (*way, end):
        try:
            status = step.lstat()
        except OSError:  # not there yet, or out of sight
            continue
        # In a folder that is sticky, as /tmp, nobody can touch what others have made there.
        sticky = step != end and stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)
        gap = owners.find_gap(step, status, writable=sticky)
        if gap is not None:
            return gap
    return None


def _list_way(path: Path) -> Iterator[Path]:
    """Every folder and link that is passed on the way to a path, from the root on, and what it leads to, last."""
    start = path.absolute()
    at, rest, links = Path(start.anchor), [*reversed(start.parts[1:])], 0
    yield at
    while rest:
        part = rest.pop()
        if part == "..":
            at = at.parent
            yield at
            continue
        step = at / part
        yield step
        try:
            target = step.readlink()
        except OSError:  # no link, or not there
            at = step
            continue
        links += 1
        if links > _MOST_LINKS:
            return
        if target.is_absolute():
            at = Path(target.anchor)
        rest += reversed(target.parts[1:] if target.is_absolute() else target.parts)


class _Owners:
    """Who may have written what is loaded: users and groups by their numbers."""

    def __init__(self, users: frozenset[int], groups: frozenset[int]) -> None:
        self._users, self._groups = users, groups

    def find_gap(self, path: Path, status: os.stat_result, writable: bool = False) -> Gap | None:
        """What is wrong with a file, folder or link; writable: whether others may write to it."""
        if status.st_uid not in self._users:
            name = _name_user(status.st_uid)
            return Gap(path, f"{path} belongs to {name}", name)
        if stat.S_ISLNK(status.st_mode) or writable:  # a link has no mode of its own
            return None
        mine = status.st_uid == os.geteuid()
        if status.st_mode & stat.S_IWOTH:
            return Gap(path, f"everybody can write to {path}", is_mode=mine)
        if not status.st_mode & stat.S_IWGRP:
            return None
        if _has_access_list(path):  # whose mask shows as the group's rights
            return Gap(path, f"others can write to {path}, by its access control list", is_mode=mine)
        if not _is_of_trusted(status.st_gid, self._users, self._groups):
            name = _name_group(status.st_gid)
            return Gap(path, f"the group {name} can write to {path}", f"@{name}", mine)
        return None


@cache
def _read_trusted(text: str, user: int) -> tuple[frozenset[int], frozenset[int]]:
    """The users and the groups that are trusted, where BPTT_CACHE_TRUST says so. Raises ConfigurationError."""
    import grp
    import pwd

    users, groups = {user, 0}, {0}  # those of root's group can become root, or were made to be it
    for name in filter(None, map(str.strip, text.split(","))):
        try:
            if name.startswith("@"):
                found = grp.getgrgid(int(name[1:])) if name[1:].isdecimal() else grp.getgrnam(name[1:])
                groups.add(found.gr_gid)
                users |= _list_members(found.gr_gid)
            else:
                users.add(int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid)
        except KeyError:
            known = (
                [f"@{one.gr_name}" for one in grp.getgrall()]
                if name.startswith("@")
                else [one.pw_name for one in pwd.getpwall()]
            )
            what = "group" if name.startswith("@") else "user"
            says = f"there is no such {what}{suggest(name, known)} (users, and groups after an @, between commas)"
            raise ConfigurationError([write_problem(VARIABLE, name, says)]) from None
    return frozenset(users), frozenset(groups)


@cache
def _is_of_trusted(group: int, users: frozenset[int], groups: frozenset[int]) -> bool:
    """Whether all of a group are trusted, as of the group of one's own that umask 002 goes with."""
    if group in groups:
        return True
    members = _list_members(group)
    with suppress(KeyError):
        import pwd

        if _name_group(group) == pwd.getpwuid(os.geteuid()).pw_name:
            members.add(os.geteuid())  # where a directory service lists nobody
    return bool(members) and members <= users


def _list_members(group: int) -> set[int]:
    """The users of a group, as far as the system lists them."""
    import grp
    import pwd

    members = {one.pw_uid for one in pwd.getpwall() if one.pw_gid == group}
    with suppress(KeyError):
        for name in grp.getgrgid(group).gr_mem:
            with suppress(KeyError):  # who is listed and has gone
                members.add(pwd.getpwnam(name).pw_uid)
    return members


def _has_access_list(path: Path) -> bool:
    if not hasattr(os, "getxattr"):
        return False
    try:
        return bool(os.getxattr(path, _ACCESS_LIST, follow_symlinks=False))
    except OSError:  # none, or a file system without
        return False


def _name_user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _name_group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
