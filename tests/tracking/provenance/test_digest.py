from pathlib import Path
from typing import Any

import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.core.sources import package_hash
from bptt.tracking.provenance.digest import Digester, compute_digest, compute_version

CONFIG: dict[str, Any] = {"seed": 0, "optimizer": {"alpha": 1, "beta": 0.5}, "tracking": {"uri": None}, "allow": []}

CHRONO = "{name: chrono, t_max: 100}"


def test_what_a_number_does_not_depend_on_does_not_count() -> None:
    other = {"tracking": {"uri": "sqlite:///other.db"}, "optimizer": {"beta": 0.5, "alpha": 1.0}, "seed": 0}
    assert compute_digest(CONFIG, "v1") == compute_digest(other, "v1")


def test_everything_else_counts() -> None:
    changed = [
        {**CONFIG, "seed": 1},
        {**CONFIG, "optimizer": {"alpha": 1, "beta": 0.5000000000000001}},
        {**CONFIG, "optimizer": {"alpha": True, "beta": 0.5}},
        {**CONFIG, "optimizer": {"alpha": "1", "beta": 0.5}},
        {**CONFIG, "optimizer": {"alpha": 1, "beta": 0.5, "gamma": None}},
    ]
    digests = {compute_digest(config, "v1") for config in changed} | {
        compute_digest(CONFIG, "v1"),
        compute_digest(CONFIG, "v2"),
    }
    assert len(digests) == len(changed) + 2


def test_a_part_that_says_what_its_absence_means_does_not_count() -> None:
    parts = {
        "schedule": {"_target_": "bptt.core.schedules.constant.ConstantSchedule"},
        "regularizer": {"_target_": "bptt.core.regularizers.none.NoRegularizer"},
    }
    assert compute_digest(CONFIG | parts, "v1") == compute_digest(CONFIG, "v1")
    warmup = {"schedule": {"_target_": "bptt.core.schedules.warmup.Warmup", "warmup": 0.0}}
    assert compute_digest(CONFIG | warmup, "v1") != compute_digest(CONFIG, "v1")
    resolved = check_configuration(compose()).resolved
    assert compute_digest(resolved, "v1") == compute_digest(
        {key: resolved[key] for key in resolved if key not in parts}, "v1"
    )
    assert resolved.items() >= parts.items()


def test_a_gate_counts_where_it_starts_with_a_bias_of_its_own() -> None:
    def digest(*overrides: str) -> str:
        return compute_digest(check_configuration(compose(["model=lstm", *overrides])).resolved, "v1")

    plain = check_configuration(compose(["model=lstm"])).resolved
    assert "gate_bias" not in plain["init"]  # as in what was recorded before there were any
    assert digest("init.gate_bias.forget=null") == digest("init.gate_bias=null") == compute_digest(plain, "v1")
    found = {digest(f"init.gate_bias.{gate}={bias}") for gate in ("forget", "input") for bias in ("0", "1", CHRONO)}
    assert len(found | {digest()}) == 7
    assert digest("init.gate_bias.forget=1.0") == digest("init.gate_bias={forget: 1}")


def test_a_key_of_a_task_that_says_what_its_absence_means_does_not_count() -> None:
    """Runs of before there were test sets, other lengths, or LEFTBIT's fresh bits, are still the same ones."""
    for name, added in (
        ("adding", {"test_size": 0, "eval_lengths": []}),
        ("leftbit", {"test_size": 0, "eval_size": None}),
    ):
        resolved = check_configuration(compose([f"task={name}"])).resolved
        now = {**resolved, "task": resolved["task"] | added}
        older = {**resolved, "task": {key: value for key, value in resolved["task"].items() if key not in added}}
        assert compute_digest(now, "v1") == compute_digest(older, "v1") != compute_digest(resolved, "v1")
        assert check_configuration(older).resolved == now
    # Where null was all additions from the beginning, it counts as before.
    adder = check_configuration(compose(["task=adder", "task.eval_size=null"])).resolved
    less = {**adder, "task": {key: value for key, value in adder["task"].items() if key != "eval_size"}}
    assert compute_digest(adder, "v1") != compute_digest(less, "v1")


def test_the_network_that_is_kept_and_patience_count_where_they_are_not_as_they_always_were() -> None:
    def resolve(*overrides: str) -> dict[str, Any]:
        return check_configuration(
            compose(["train.early_stop={metric: loss/eval, threshold: 0.1}", *overrides])
        ).resolved

    plain = resolve()
    assert plain["train"].items() >= {"keep": "last", "keep_by": "loss/eval", "measure": []}.items()
    train = {name: value for name, value in plain["train"].items() if name not in ("keep", "keep_by", "measure")}
    older = plain | {"train": train | {"early_stop": {"metric": "loss/eval", "threshold": 0.1}}}
    assert compute_digest(plain, "v1") == compute_digest(older, "v1")
    assert check_configuration(older).resolved == plain
    changed = [["train.keep=best"], ["train.keep=best", "train.keep_by=accuracy/eval"], ["train.early_stop.patience=3"]]
    assert len({compute_digest(resolve(*overrides), "v1") for overrides in ([], *changed)}) == 4


def test_a_data_file_counts_by_its_content(tmp_path: Path) -> None:
    here, there = tmp_path / "here.npz", tmp_path / "there.npz"
    here.write_bytes(b"1")
    there.write_bytes(b"1")
    config = {"task": {"path": str(here)}}
    before = compute_digest(config, "v1")
    assert compute_digest({"task": {"path": str(there)}}, "v1") == before
    here.write_bytes(b"2")
    assert compute_digest(config, "v1") != before


def test_a_class_of_the_user_s_counts_by_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"optimizer": {"_target_": "own_digest.lion.Lion", "alpha": 1}}
    known = compute_digest({"optimizer": {"_target_": "bptt.core.optimizers.sgd.Sgd"}}, "v1")
    found = set()
    for text in ("x = 1", "x = 2"):
        (tmp_path / "own_digest.py").write_text(text, encoding="utf-8")
        with monkeypatch.context() as patched:
            patched.syspath_prepend(str(tmp_path))
            package_hash.cache_clear()
            found.add(compute_digest(config, "v1"))
            assert compute_digest({"optimizer": {"_target_": "bptt.core.optimizers.sgd.Sgd"}}, "v1") == known
    assert len(found) == 2


def test_known_value_so_that_no_release_changes_it_unnoticed() -> None:
    assert compute_digest(CONFIG, "v1") == "d584fcd908c47fff"


@pytest.mark.parametrize("key", ["aa", "seed", "zz"])
def test_digests_that_have_all_but_a_number_in_common_are_those_of_the_whole(key: str) -> None:
    config: dict[str, Any] = {"model": {"hidden_size": 3}, "seed": 1, "tags": {"a": "b"}, "task": {"x": 1.0}, key: 1}
    split = Digester("v").split(config, key)
    for value in (0, 7, 10**17):
        assert split.compute(value) == compute_digest(config | {key: value}, "v")


def test_the_program_has_one_version() -> None:
    assert compute_version() == compute_version()
    assert len(compute_version()) == 16
