"""The parts of deploy/compose.yaml fit together; containers are not started here."""

import configparser
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.deploy.lab import DEPLOY

LOCKED = DEPLOY.parent / "requirements-dev.lock"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
SCRIPT = DEPLOY / "container.sh"
EXAMPLE = dict(
    line.split("=", 1) for line in (DEPLOY / "example.env").read_text().splitlines() if line and line[0] != "#"
)

# Of the Compose specification what is used here; a misspelt key would be one more.
KEYS = {
    "": {"name", "services", "secrets", "volumes"},
    "service": {
        "build", "command", "depends_on", "environment", "healthcheck", "image", "ports", "restart", "secrets",
        "volumes",
    },
    "healthcheck": {"test", "interval", "retries"},
    "secret": {"environment"},
}  # fmt: skip


def test_only_known_keys_are_used() -> None:
    assert set(COMPOSE) == KEYS[""]
    for service in SERVICES.values():
        assert set(service) <= KEYS["service"]
        assert set(service.get("healthcheck", {})) <= KEYS["healthcheck"]
        assert "image" in service
    for secret in COMPOSE["secrets"].values():
        assert set(secret) == KEYS["secret"]


def test_what_a_service_names_is_there() -> None:
    secrets = {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert secrets == set(COMPOSE["secrets"])
    mounted = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", ())]
    assert {name for name, _ in mounted} == set(COMPOSE["volumes"])
    assert all(Path(path).is_absolute() for _, path in mounted)
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
            else:
                assert how["condition"] == "service_completed_successfully"
                assert "restart" not in SERVICES[other]
        for name, value in service.get("environment", {}).items():
            if name.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]
            for host in re.findall(r"://(?:\w+@)?(\w+)[:/]", value):
                assert host in SERVICES


def test_images_have_versions_and_ports_are_this_machines() -> None:
    for service in SERVICES.values():
        name, _, tag = service["image"].partition(":")
        assert re.search(r"\d+[.-]\d+", tag), name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["mlflow"]


def test_every_variable_is_in_the_example_without_a_value_that_is_secret() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    used = {*re.findall(r"\$\{(\w+)", text), *(secret["environment"] for secret in COMPOSE["secrets"].values())}
    assert used == set(EXAMPLE)
    assert {name: "5000" if name == "PORT" else "" for name in used} == EXAMPLE
    git = shutil.which("git")
    if git is not None and (DEPLOY.parent / ".git").exists():
        ignored = subprocess.run([git, "check-ignore", "--quiet", "deploy/.env"], cwd=DEPLOY.parent, check=False)
        assert ignored.returncode == 0


def test_the_image_has_the_versions_of_the_lock_and_files_that_there_are() -> None:
    given = [Requirement(text) for text in re.findall(r'"([\w-]+(?:\[\w+\])?==[\d.]+)"', DOCKERFILE)]
    assert {one.name for one in given} == {"mlflow", "psycopg", "boto3"}
    for one in given:
        assert f"\n{one.name}=={str(one.specifier)[2:]} " in "\n" + LOCKED.read_text(), one
    (mlflow,) = [str(one.specifier)[2:] for one in given if one.name == "mlflow"]
    assert {service["image"] for service in SERVICES.values() if "build" in service} == {f"bptt-mlflow:{mlflow}"}
    instructions = [line.split() for line in DOCKERFILE.splitlines() if line.strip() and line[0] != "#"]
    words = [instruction[0] for instruction in instructions]
    assert words == ["FROM", "RUN", "COPY", "USER", "WORKDIR", "ENV", "EXPOSE", "ENTRYPOINT"]
    *sources, _ = instructions[words.index("COPY")][1:]
    assert sources
    assert all((DEPLOY / source).is_file() for source in sources)
    assert instructions[words.index("USER")][1] != "root"
    assert '"/srv/container.sh"' in DOCKERFILE


def test_users_are_kept_in_the_database_of_the_runs() -> None:
    settings = configparser.ConfigParser()
    settings.read(DEPLOY / "auth.ini")
    kept = SERVICES["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    assert settings["mlflow"]["database_uri"] == kept
    assert not [name for name in settings["mlflow"] if "password" in name]


@pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version
def test_the_server_knows_its_options() -> None:
    pytest.importorskip("flask_wtf")
    command = re.search(r"exec mlflow server (.*?)\n  ;;", SCRIPT.read_text(), re.DOTALL)
    assert command is not None
    from mlflow.cli import server

    known = {name for option in server.params for name in option.opts}
    options = re.findall(r"--[\w-]+", command[1])
    assert options
    assert set(options) <= known


@pytest.mark.parametrize("checker", [["sh", "-n"], ["shellcheck"]])
@pytest.mark.parametrize("script", [SCRIPT, DEPLOY.parent / ".ci" / "run"], ids=["container", "ci"])
def test_scripts_can_be_read(checker: list[str], script: Path) -> None:
    if shutil.which(checker[0]) is None:
        pytest.skip(f"{checker[0]} is not installed")
    if script.name == "run":
        checker = ["bash" if word == "sh" else word for word in checker]
    done = subprocess.run([*checker, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_itself_takes_it(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no plugin compose")
    given = tmp_path / "given.env"
    given.write_text("".join(f"{name}={value or 'given'}\n" for name, value in EXAMPLE.items()))
    command = [docker, "compose", "--file", str(DEPLOY / "compose.yaml"), "--env-file", str(given), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def object_store(buckets: list[str]) -> Iterator[str]:
    """As much of S3 as lists buckets and makes one: `buckets` are there, and grow. Its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            names = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in buckets)
            self._answer(f"<ListAllMyBucketsResult><Buckets>{names}</Buckets></ListAllMyBucketsResult>")

        def do_PUT(self) -> None:
            assert "Credential=minio" in self.headers["Authorization"]
            buckets.append(self.path.strip("/"))
            self._answer("")

        def _answer(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_container_makes_the_tables_and_the_bucket_once(tmp_path: Path) -> None:
    pytest.importorskip("boto3")
    (tmp_path / "secrets").mkdir()
    for name in COMPOSE["secrets"]:
        (tmp_path / "secrets" / name).write_text({"minio_user": "minio"}.get(name, f"the {name}"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mlflow").write_text('#!/bin/sh\necho "$* PGPASSWORD=$PGPASSWORD $MLFLOW_AUTH_ADMIN_PASSWORD"\n')
    (programs / "mlflow").chmod(0o755)
    environment = SERVICES["mlflow"]["environment"] | {"SECRETS": str(tmp_path / "secrets")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    buckets = ["another"]
    with object_store(buckets) as address:
        given = environment | {"MLFLOW_S3_ENDPOINT_URL": address, "PATH": f"{programs}:{path}"}

        def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                ["sh", str(SCRIPT), *arguments], env=given, capture_output=True, text=True, check=False
            )

        for _ in range(2):
            done = run("prepare")
            assert done.returncode == 0, done.stderr
            uri = environment["MLFLOW_BACKEND_STORE_URI"]
            assert done.stdout == f"db upgrade {uri} PGPASSWORD=the database_password the admin_password\n"
            assert buckets == ["another", "mlflow"]
        served = run("serve").stdout
        assert served.startswith("server --host 0.0.0.0 --port 5000")
        assert "--artifacts-destination s3://mlflow" in served
        assert run().returncode == 2
