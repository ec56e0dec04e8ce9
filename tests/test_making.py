"""What make offers, and what a forge would have it do."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "checks.yml"
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    return found


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = job["steps"]
    return found


def test_make_alone_lists_all_targets_and_makes_nothing() -> None:
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    listed = [re.fullmatch(r"make ([a-z-]+) +(\S.+)", line) for line in told]
    assert [found[1] for found in listed if found] == TARGETS
    assert len(listed) == len(TARGETS)
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    assert sorted(phony[1].split()) == sorted(TARGETS)


def test_a_forge_runs_what_there_is(jobs: dict[str, Any]) -> None:
    commands = [step["run"] for job in jobs.values() for step in steps(job) if "run" in step]
    assert commands
    for command in commands:
        program, *arguments = command.split()
        if program == "make":
            goals = [word for word in arguments if "=" not in word]
            assert goals
            assert set(goals) <= set(TARGETS)
        else:
            assert os.access(ROOT / program, os.X_OK), command
            assert not arguments


def test_linux_has_all_checks_and_others_may_fail(jobs: dict[str, Any]) -> None:
    assert "continue-on-error" not in jobs["linux"]
    assert [step["run"] for step in steps(jobs["linux"]) if "run" in step] == [".ci/run"]
    assert jobs["elsewhere"]["continue-on-error"] is True
    assert jobs["elsewhere"]["strategy"]["matrix"]["machine"] == ["macos-latest", "windows-latest"]
    assert [step["run"].split()[:2] for step in steps(jobs["elsewhere"]) if "run" in step] == [["make", "test"]]


def test_its_keys_are_known_and_every_action_has_a_version(jobs: dict[str, Any]) -> None:
    whole = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert whole.keys() == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads `on` as true
    known = {"runs-on", "timeout-minutes", "strategy", "steps", "continue-on-error", "defaults"}
    for job in jobs.values():
        assert {"runs-on", "steps"} <= job.keys() <= known
        for step in steps(job):
            assert step.keys() in ({"run"}, {"uses"}, {"uses", "with"})
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v0"))
    text = WORKFLOW.read_text(encoding="utf-8")
    assert "://" not in text
    assert "index" not in text


def test_pythons_are_those_that_make_takes(jobs: dict[str, Any]) -> None:
    bound = re.search(r"\((\d+), (\d+)\) <= sys\.version_info < \((\d+), (\d+)\)", (ROOT / "Makefile").read_text())
    assert bound is not None
    pythons = jobs["linux"]["strategy"]["matrix"]["python"]
    assert pythons == [f"3.{minor}" for minor in range(int(bound[2]), int(bound[4]))]


def test_sweeps_need_less_than_tests() -> None:
    def planned(goal: str) -> str:
        command = ["make", "--dry-run", "--always-make", goal]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "set_up.py requirements.lock" in planned("sweep")
    assert "requirements-dev.lock" not in planned("sweep")
    assert planned("lint").index("requirements.lock") < planned("lint").index("set_up.py requirements-dev.lock")
