"""Environments are set up as locked: what runs from one lock file, the rest from another that agrees with it."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pip
import pytest

ROOT = Path(__file__).parents[1]
RUNNING, ALL = ((ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "requirements-dev.lock"))


def entries(text: str) -> dict[str, str]:
    """Name, version and marker → hashes."""
    found = re.findall(r"^([A-Za-z0-9].*?) \\\n((?: .*\n?)+)", text, re.MULTILINE)
    return {pin.partition(" ;")[0] + _versions(pin): hashes for pin, hashes in found}


def _versions(pin: str) -> str:
    """What a marker says of Python's version: one of two versions of a package is for older ones."""
    return "".join(re.findall(r"python_full_version [<>=]+ '[\d.]+'", pin))


def names_of(text: str) -> set[str]:
    return {pin.partition("==")[0] for pin in entries(text)}


def test_what_runs_is_locked_as_in_the_lock_of_all() -> None:
    assert entries(RUNNING).items() < entries(ALL).items()
    assert names_of(RUNNING) >= {"numba", "mlflow", "hydra-core", "hatchling", "pip"}


def test_what_runs_has_no_tools_and_no_extras() -> None:
    others = {"ruff", "mypy", "pytest", "mkdocs", "ipykernel", "papermill", "optuna", "distributed", "onnx", "boto3"}
    assert names_of(RUNNING).isdisjoint(others)
    assert names_of(ALL) >= others


@pytest.mark.parametrize("text", [RUNNING, ALL], ids=["running", "all"])
def test_each_package_has_hashes_and_none_an_address(text: str) -> None:
    pins = re.findall(r"^[A-Za-z0-9].*", text, re.MULTILINE)
    assert len(entries(text)) == len(pins)
    assert all("sha256:" in hashes for hashes in entries(text).values())
    assert "://" not in text
    assert "--index" not in text
    assert "--extra-index" not in text


def wheel_of(folder: Path, name: str) -> str:
    """Make a wheel of one module; returns its hash."""
    told = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "VALUE = 1\n",
        f"{told}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{told}/WHEEL": "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{told}/RECORD"] = "\n".join([*record, f"{told}/RECORD,,\n"])
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for place, text in files.items():
            wheel.writestr(place, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.mark.slow
def test_what_is_missing_is_installed_and_counted_once_and_only_with_its_hash(tmp_path: Path) -> None:
    wheels, environment = tmp_path / "wheels", tmp_path / "environment"
    wheels.mkdir()
    lock = tmp_path / "some.lock"
    texts = [
        f"{name}==1.0{marker} \\\n    --hash=sha256:{wheel_of(wheels, name)}\n"
        for name, marker in (("one", ""), ("two", " ; python_version >= '3'"), ("other", " ; sys_platform == 'none'"))
    ]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = next(path for path in environment.glob("*/python*") if path.is_file())

    def set_up(size: str = "2 kB") -> subprocess.CompletedProcess[str]:
        lock.write_text("# locked\n" + "".join(texts), encoding="utf-8")
        return subprocess.run(
            [python, ROOT / ".ci" / "set_up.py", lock, size],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
                "PYTHONPATH": str(Path(pip.__file__).parents[1]),
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(wheels),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    right, texts[1] = texts[1], re.sub(r"sha256:\w+", "sha256:" + "0" * 64, texts[1])
    refused = set_up()
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert list(environment.rglob("one.py")) == []

    texts[1] = right
    made = set_up()
    assert (made.returncode, made.stderr) == (0, "")
    first, *_, last = made.stdout.splitlines()
    assert first == f"{environment}: downloads 2 packages of some.lock, each checked against its hash: 2 kB"
    assert re.fullmatch(r"  0 MB fetched, \d+ MB on the disk, \d+ s", last)
    (site,) = {path.parent for path in environment.rglob("one.py")}
    assert {path.name for path in site.glob("*.dist-info")} == {"one-1.0.dist-info", "two-1.0.dist-info"}

    again = set_up()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    for installed in site.glob("*.dist-info"):
        shutil.rmtree(installed)
    told = set_up("50 MB to fetch").stdout.splitlines()
    assert told[0].endswith("each checked against its hash: 50 MB to fetch")
    assert told[-1] == "  which is not about 50 MB, as the Makefile and README.md have it"


def test_the_sizes_that_are_told_are_those_of_the_page() -> None:
    make, page = ((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "README.md"))
    told = re.findall(r'"(\d+ MB) (?:more )?to fetch, (\d+) MB', make)
    assert len(told) == 2
    assert f"{told[0][0]} that are {told[0][1]} on the disk" in " ".join(page.split())
    assert f"adds {told[1][0]} " in " ".join(page.split())
