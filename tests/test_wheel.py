"""The wheel holds what `bptt` needs outside its repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_wheel_works_outside_the_repository(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("bptt-*-py3-none-any.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)

    held = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    for folder, target in (
        (ROOT / "src" / "bptt", "bptt"),
        (ROOT / "src" / "hydra_plugins", "hydra_plugins"),
        (ROOT / "conf", "bptt/conf"),
    ):
        files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
        assert {f"{target}/{path.relative_to(folder).as_posix()}" for path in files} <= held

    code = (
        "from bptt.cli.main import main; from bptt.configuration.vocabulary import find_conf_folder; "
        "print(find_conf_folder()); main()"
    )
    command = [sys.executable, "-c", code, "train", "--cfg", "job", "--package", "clip", "clip=norm"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[0] == str(installed / "bptt" / "conf")
    assert "threshold: 1.0" in result.stdout
