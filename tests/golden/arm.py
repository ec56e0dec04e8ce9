"""`python -m tests.golden.arm` compares the golden bits on an emulated 64-bit ARM processor with the table's.

It needs root and Debian, whose packages it unpacks into a folder of its own; what the runs call is compiled here first
(`tests.golden.cross`), where this Python is of the emulated one's version: there, compiling is some twenty times as
slow. `--only model=gru --every 10` takes one in ten of a cell's runs. Nothing of this machine's Python runs there but
its pure packages. Exit code 2: the processor can't be set up here.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile

from platformdirs import user_cache_path

from tests.golden import cross

ROOT = Path(__file__).parents[2]
#: Debian's release whose Python is the one that is emulated, and that Python.
RELEASE, PYTHON = "bookworm", (3, 11)
NUMBER = ".".join(map(str, PYTHON))
COMPILED = ("numpy", "numba", "llvmlite", "PyYAML")
PURE = ("omegaconf", "antlr4", "platformdirs")


def main(arguments: Sequence[str]) -> int:
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        sys.stderr.write("the emulated processor needs root and Debian\n")
        return 2
    folder = user_cache_path("bptt", appauthor=False) / "arm64"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        system, packages = _unpack_system(folder), _install_packages(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"the emulated processor can't be set up: {error}\n")
        return 2
    python = ["qemu-aarch64-static", "-cpu", "max", "-L", str(system), str(system / f"usr/bin/python{NUMBER}")]
    paths = [str(packages), str(ROOT / "src"), str(ROOT)]
    own = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "BPTT_CACHE_DIR": str(folder / "kernels"),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    if sys.version_info[:2] == PYTHON:
        _compile_here(python, own, arguments)
    return subprocess.run([*python, "-m", "tests.golden", "--check", *arguments], cwd=ROOT, env=own).returncode


def _compile_here(python: Sequence[str], own: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Compile what these golden runs call, for the emulated processor."""
    said = subprocess.run([*python, "-c", cross.ASK], cwd=ROOT, env=own, check=True, stdout=subprocess.PIPE).stdout
    *processor, width = json.loads(said)
    command = [sys.executable, "-m", "tests.golden.cross"]
    with NamedTemporaryFile(suffix=".json") as kernels:
        subprocess.run([*command, "list", kernels.name, *arguments], cwd=ROOT, check=True)
        there = os.environ | {"BPTT_CACHE_DIR": own["BPTT_CACHE_DIR"], "BPTT_SIMD_WIDTH": str(width)}
        subprocess.run([*command, "compile", kernels.name, json.dumps(processor)], cwd=ROOT, env=there, check=True)


def _unpack_system(folder: Path) -> Path:
    """Debian's Python for ARM with what it needs, not installed, only unpacked."""
    system = folder / f"debian-{RELEASE}"
    if not system.exists():
        tools = ("qemu-aarch64-static", "debootstrap")
        if not all(map(shutil.which, tools)):
            apt = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "qemu-user-static", "debootstrap"]
            subprocess.run(["apt-get", "update", "-qq"], check=True)
            subprocess.run(apt, check=True)
        stage = folder / "stage"
        options = ["--arch=arm64", "--variant=minbase", "--foreign", "--include=python3"]
        # Its last step, which would run ARM's programs to check them, may fail: the packages are there by then.
        subprocess.run(["debootstrap", *options, RELEASE, str(stage)], check=False, stdout=subprocess.DEVNULL)
        begun = _begin(system)
        for package in sorted((stage / "var/cache/apt/archives").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(package), str(begun)], check=True)
        begun.rename(system)
    return system


def _begin(place: Path) -> Path:
    """An empty folder that becomes `place` when it is whole: what was broken off is not taken for it."""
    begun = place.with_name(f"{place.name}.begun")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir()
    return begun


def _install_packages(folder: Path) -> Path:
    """The packages that compute, for ARM, in this machine's versions, and the pure ones as they are here."""
    wanted = [f"{name}=={version(name)}" for name in COMPILED]
    place = folder / "-".join(["packages", *(version(name) for name in COMPILED)])
    if not place.exists():
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (28, 27, 26, 17)]
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        begun = _begin(place)
        target = [*platforms, "--platform=manylinux2014_aarch64", f"--python-version={NUMBER}", "--target", str(begun)]
        subprocess.run([*install, *target, *wanted], check=True)
        here = Path(sysconfig.get_path("purelib"))
        for name in PURE:
            shutil.copytree(here / name, begun / name)
        shutil.copy(here / "typing_extensions.py", begun)
        begun.rename(place)
    return place


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
