"""What `deploy/server` refuses, in a line each, before anything is started."""

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.deploy.lab import DEPLOY

ENVIRONMENT = {"BPTT_DATABASE_PASSWORD": "secret"}
ADMIN = {"MLFLOW_AUTH_ADMIN_USERNAME": "chief", "MLFLOW_AUTH_ADMIN_PASSWORD": "long secret"}


def refused(folder: Path, *options: str, variables: dict[str, str] = ENVIRONMENT, python: Sequence[str] = ()) -> str:
    """The line with which the server refuses to start."""
    done = subprocess.run(
        [sys.executable, *python, str(DEPLOY / "server"), str(folder / "kept"), *options],
        env={"PATH": "", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (folder / "kept" / "postgresql").exists()
    return done.stderr.rstrip("\n")


@pytest.mark.parametrize("value", [None, "", " ", "two\nlines"])
def test_passwords_have_to_be_set(value: str | None, tmp_path: Path) -> None:
    given = {} if value is None else {"BPTT_DATABASE_PASSWORD": value}
    told = "BPTT_DATABASE_PASSWORD: must be set, in the environment, to one line of text"
    assert refused(tmp_path, variables=given) == told
    given = {} if value is None else {"MLFLOW_AUTH_ADMIN_PASSWORD": value}
    told = "MLFLOW_AUTH_ADMIN_PASSWORD: must be set, in the environment, to one line of text"
    assert (
        refused(tmp_path, "--basic-auth", variables=ENVIRONMENT | {"MLFLOW_AUTH_ADMIN_USERNAME": "chief"} | given)
        == told
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "lab.example.org"])
def test_without_users_it_serves_this_machine_alone(host: str, tmp_path: Path) -> None:
    told = f"--host {host}: whoever reaches it could change and delete all runs; add --basic-auth"
    assert refused(tmp_path, "--host", host) == told


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = f"--port {port}: can't be listened to at 127.0.0.1: it is taken, or no port of this machine"
        assert refused(tmp_path, "--port", str(port)) == told


def test_packages_that_are_missing(tmp_path: Path) -> None:
    told = refused(tmp_path, "--basic-auth", "--artifacts", "s3://b", python=("-S",), variables=ENVIRONMENT | ADMIN)
    assert told == f"mlflow, psycopg, flask_wtf, boto3: missing; {sys.executable} -m pip install 'bptt[server]'"


@pytest.mark.parametrize(
    ("installer", "remedy"),
    [
        ("apt-get", "sudo apt-get install postgresql"),
        ("dnf", "sudo dnf install postgresql-server"),
        ("none", "see https://www.postgresql.org/download"),
    ],
)
def test_a_missing_postgresql(installer: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / installer).touch(mode=0o755)
    assert without_debians(tmp_path) == f"PostgreSQL is missing: {remedy}"


def test_a_database_of_another_postgresql(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for program in ("initdb", "postgres"):
        (tmp_path / "bin" / program).write_text("#!/bin/sh\necho initdb '(PostgreSQL) 16.2'\n")
        (tmp_path / "bin" / program).chmod(0o755)
    data = tmp_path / "kept" / "postgresql"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    told = f"{data}: made by PostgreSQL 9, and here is 16; pg_upgrade brings it to another version"
    assert without_debians(tmp_path) == told


def without_debians(folder: Path) -> str:
    """What the lookup of PostgreSQL's programs raises where only those in folder/bin are installed."""
    code = (
        f"import sys, pathlib; sys.path.insert(0, {str(DEPLOY)!r}); import postgresql\n"
        "postgresql._DEBIANS = pathlib.Path('/nowhere')\n"
        f"try: postgresql.PostgreSQL(pathlib.Path({str(folder / 'kept')!r}), pathlib.Path({str(folder)!r}), 1)\n"
        "except postgresql.Trouble as trouble: print(trouble)"
    )
    environment = {"PATH": str(folder / "bin")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n")


def test_help_says_what_there_is() -> None:
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "server"), "--help"], capture_output=True, text=True, check=True
    )
    for option in ("--host", "--port", "--database-port", "--workers", "--artifacts", "--basic-auth", "--upgrade"):
        assert option in done.stdout
    for name in (*ENVIRONMENT, *ADMIN):
        assert name in done.stdout
