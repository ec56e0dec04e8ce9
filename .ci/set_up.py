"""python set_up.py LOCK [SIZE]: installs what a lock file lists into this interpreter's environment.

    .venv/bin/python .ci/set_up.py requirements.lock "260 MB to fetch, 900 MB on the disk with bytecode"

Each file is checked against its hash, and what takes long is counted. Files are fetched by two pips side by side, whose
time goes into choosing among versions; a third one, which has no network, installs them. What is there already in its
version is left alone. Needs nothing but the interpreter and its pip.
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PACKAGES: Final = Path(sysconfig.get_path("purelib"))
_PIP: Final = (sys.executable, "-m", "pip")
_QUIET: Final = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-deps")
_UNITS: Final = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_FETCHED: Final = re.compile(r"^\s*(?:Downloading|Using cached) (?P<file>\S+) \((?P<size>[\d.]+) (?P<unit>\w+)\)")
_AT_HAND: Final = re.compile(r"^\s*Processing (?P<file>\S+\.(?:whl|tar\.gz))")  # from an index on this machine
_ABOUT: Final = 0.2  # by which share a size may differ from what was said of it
_SECONDS: Final = 5  # between two lines, where none can be written over


@dataclass(frozen=True)
class Pin:
    """A package of a lock file.

    text  its lines, with its hashes
    """

    name: str
    version: str
    text: str


@dataclass
class Progress:
    """How far it has come: one line that is written over, or on what is no terminal one every few seconds."""

    total: int
    count: int = 0
    size: float = 0.0
    _told: float = field(default_factory=time.monotonic)

    def tell(self, doing: str, what: str = "") -> None:
        """Say it, if it is time."""
        line = f"  {doing} {self.count} of {self.total}"
        if sys.stdout.isatty():
            print(f"\r\033[K{line}{what and f': {what}'}"[:100], end="", flush=True)
        elif time.monotonic() - self._told > _SECONDS:
            print(line, flush=True)
            self._told = time.monotonic()


def main(arguments: Sequence[str]) -> int:
    """0: all is there, otherwise pip's exit code; 130: interrupted."""
    lock, size = Path(arguments[0]), "".join(f": {size}" for size in arguments[1:])
    began = time.monotonic()
    pins = missing(lock)
    whole = len(pins) == len([*read_lock(lock.read_text(encoding="utf-8"))])
    if not pins:
        return 0
    packages = f"{len(pins)} package{'s' * (len(pins) != 1)} of {lock.name}"
    print(f"{sys.prefix}: downloads {packages}, each checked against its hash{size}", flush=True)
    try:
        with tempfile.TemporaryDirectory(dir=sys.prefix) as folder:
            # A new pip first: it chooses in half the time.
            for some in ([pin for pin in pins if pin.name == "pip"], [pin for pin in pins if pin.name != "pip"]):
                progress = Progress(len(some))
                if some and (code := _fetch(some, Path(folder), progress) or _install(Path(folder), progress)):
                    return code
    except KeyboardInterrupt:
        return 130
    used = sum(path.lstat().st_size for path in Path(sys.prefix).rglob("*") if not path.is_dir())
    told = f"{progress.size / 1e6:.0f} MB fetched, {used / 1e6:.0f} MB on the disk, {time.monotonic() - began:.0f} s"
    print(f"{_over()}  {told}", flush=True)
    said = re.match(r": (\d+) MB", size)
    if whole and said and abs(progress.size / 1e6 - int(said[1])) > max(_ABOUT * int(said[1]), 20):
        print(f"  which is not about {said[1]} MB, as the Makefile and README.md have it", flush=True)
    return 0


def read_lock(text: str) -> Iterator[Pin]:
    """The packages of a lock file that this interpreter and machine need."""
    from pip._vendor.packaging.requirements import Requirement

    for entry in re.findall(r"^[A-Za-z0-9].*(?:\n .*)*", text, re.MULTILINE):
        needed = Requirement(entry.partition("\\\n")[0])
        if needed.marker is None or needed.marker.evaluate():
            yield Pin(_canonical(needed.name), str(needed.specifier).removeprefix("=="), entry)


def missing(lock: Path) -> list[Pin]:
    """What of a lock file is not installed, in its version."""
    there = _installed()
    return [pin for pin in read_lock(lock.read_text(encoding="utf-8")) if (pin.name, pin.version) not in there]


def _fetch(pins: Sequence[Pin], folder: Path, progress: Progress) -> int:
    """Fetch packages as wheels into an empty folder; one that is no wheel yet is built. Returns pip's exit code."""
    for old in folder.iterdir():
        old.unlink()
    halves = [half for half in (pins[::2], pins[1::2]) if half]
    running = []
    for place, half in enumerate(halves):
        lock = folder / f"{place}.txt"
        lock.write_text("\n".join(pin.text for pin in half), encoding="utf-8")
        command = [*_PIP, "wheel", *_QUIET, "--require-hashes", "--wheel-dir", str(folder), "--requirement", str(lock)]
        running.append(_Reading(command, progress))
    return max(reading.end() for reading in running)


def _install(folder: Path, progress: Progress) -> int:
    """Install all wheels of a folder; returns pip's exit code."""
    wheels = [str(path) for path in folder.glob("*.whl")]
    before = len(_installed())
    command = [*_PIP, "install", *_QUIET, "--no-index", "--no-compile", *wheels]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        said: list[str] = []
        assert pip.stdout is not None
        reader = threading.Thread(target=lambda out=pip.stdout: said.extend(out))
        reader.start()
        while pip.poll() is None:
            progress.count = min(len(wheels), len(_installed()) - before)
            progress.tell("installed")
            time.sleep(0.3)
        reader.join()
    return _ended(pip.returncode, said)


class _Reading:
    """A pip that fetches, and one who counts along with it."""

    def __init__(self, command: Sequence[str], progress: Progress) -> None:
        self._pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._progress, self._said = progress, list[str]()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def end(self) -> int:
        """Wait for it; returns its exit code."""
        self._reader.join()
        return _ended(self._pip.wait(), self._said)

    def _read(self) -> None:
        assert self._pip.stdout is not None
        for line in self._pip.stdout:
            self._said.append(line)
            self._progress.count += line.startswith("Collecting ")
            found = _FETCHED.match(line)
            if found and not found["file"].endswith(".metadata"):
                self._progress.size += float(found["size"]) * _UNITS[found["unit"]]
                self._progress.tell("fetching", f"{found['file'].split('-')[0]}, {found['size']} {found['unit']}")
            elif (found := _AT_HAND.match(line)) and (file := Path(found["file"])).is_file():
                self._progress.size += file.stat().st_size
                self._progress.tell("fetching", file.name.split("-")[0])


def _ended(code: int, said: Sequence[str]) -> int:
    if code:
        print(_over(), *said[-20:], sep="", end="", file=sys.stderr, flush=True)
    return code


def _over() -> str:
    return "\r\033[K" if sys.stdout.isatty() else ""


def _installed() -> set[tuple[str, str]]:
    found = (path.name.removesuffix(".dist-info").rpartition("-") for path in _PACKAGES.glob("*.dist-info"))
    return {(_canonical(name), version) for name, _, version in found}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
