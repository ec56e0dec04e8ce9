"""What holds for every task, found by its YAML."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bptt.core.random import Generator
from bptt.core.run import Task
from bptt.core.sequences import Generated, Sequences

CONFIGURATIONS = Path(__file__).parents[2] / "conf" / "task"
NAMES = sorted(file.stem for file in CONFIGURATIONS.glob("*.yaml"))


#: Tasks whose outputs are never exactly right.
NUMBERS = ("arrays", "lorenz", "mackey_glass", "narma", "sine", "table")


def make(name: str, build: Callable[..., Any], folder: Path) -> Any:
    if name == "table":
        rows = [f"{i},{t},{i + t},{t * 0.25}" for i in range(5) for t in range(4 - i % 2)]
        (folder / "data.csv").write_text("\n".join(["name,time,x,y", *rows]))
        return build(name, path=str(folder / "data.csv"), sequence="name", time="time")
    if name != "arrays":
        return build(name)
    rng = np.random.default_rng(0)
    path = folder / "data.npz"
    np.savez(path, x=rng.random((5, 4, 3)), y=rng.random((5, 4, 2)), lengths=np.array([4, 1, 2, 3, 4]))
    return build(name, path=str(path))


def same(a: Sequences, b: Sequences) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("x", "y", "full_lengths", "full_scored"))


@pytest.mark.parametrize("name", NAMES)
def test_the_yaml_shows_every_field_with_a_comment_and_picks_a_loss(
    name: str, build: Callable[..., Any], tmp_path: Path
) -> None:
    task = make(name, build, tmp_path)
    text = (CONFIGURATIONS / f"{name}.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    fields = [field.metadata.get("key", field.name) for field in dataclasses.fields(task) if field.init]
    assert list(values)[:2] == ["defaults", "_target_"]
    assert sorted(values) == sorted(["defaults", "_target_", *fields])
    assert [key.partition("@")[0] for key in values["defaults"][0]] == ["override /loss"]
    assert values["defaults"][1] == "_self_"
    assert text.startswith("# ")
    assert all("  # " in line for line in text.splitlines() if line.partition(":")[0] in fields)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_have_the_shapes_that_the_task_says(name: str, build: Callable[..., Any], tmp_path: Path) -> None:
    task: Task = make(name, build, tmp_path)
    for sequences in (
        task.training().page(np.random.SeedSequence(1), 0, 3).sequences,
        task.evaluation(Generator(np.random.SeedSequence(0))),
    ):
        assert sequences.x.dtype == sequences.y.dtype == np.float64
        assert sequences.x.shape[2] == task.inputs
        assert sequences.y.shape[-1] == task.outputs
        assert len(sequences.x) == len(sequences.y)
        assert sequences.timesteps <= task.timesteps
        assert np.isfinite(sequences.x).all()
        assert np.isfinite(sequences.y).all()
        assert ((sequences.full_lengths >= 1) & (sequences.full_lengths <= sequences.timesteps)).all()
        assert sequences.full_scored.any(axis=1).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_stream_is_a_function_of_the_seed_and_the_update(
    name: str, build: Callable[..., Any], tmp_path: Path
) -> None:
    task, again = make(name, build, tmp_path), make(name, build, tmp_path)
    assert task == again
    assert hash(task) == hash(again)
    stream, other = task.training(), again.training()
    page = stream.page(np.random.SeedSequence(7), 0, 2)
    later = page.end + 1
    other.page(np.random.SeedSequence(8), 5, 2)
    first, second = (s.page(np.random.SeedSequence(7), later, 2) for s in (stream, other))
    assert first.first == second.first == page.end
    assert np.array_equal(first.rows, second.rows)
    assert same(first.sequences, second.sequences)
    assert same(task.evaluation(np.random.default_rng(3)), again.evaluation(np.random.default_rng(3)))
    if isinstance(stream, Generated):
        assert not np.array_equal(page.sequences.x, first.sequences.x)
        assert stream.numbers == page.sequences.x[0].size + page.sequences.y[0].size


@pytest.mark.parametrize("name", NAMES)
def test_right_outputs_are_right_and_those_of_a_diverged_network_are_not(
    name: str, build: Callable[..., Any], tmp_path: Path
) -> None:
    task: Task = make(name, build, tmp_path)
    sequences = task.evaluation(Generator(np.random.SeedSequence(0)))
    right = task.accuracy(sequences.y, sequences)
    wrong = task.accuracy(np.full_like(sequences.y, np.nan), sequences)
    assert (right, wrong) == ((None, None) if name in NUMBERS else (1.0, 0.0))


#: Of the evaluation as it is by default: the targets that count towards the accuracy, or of sine towards the loss.
SCORED = dict.fromkeys(("adder", "adding", "sine", "temporal_order", "xor"), 1000) | {"copying": 2560, "leftbit": 1008}


@pytest.mark.parametrize("name", SCORED)
def test_an_evaluation_has_so_many_targets_that_chance_does_not_pass_it(name: str, build: Callable[..., Any]) -> None:
    task = build(name)
    sequences = task.evaluation(np.random.default_rng(0))
    of_each = {"adder": 1, "copying": 10}.get(name, int(sequences.full_scored[0].sum()))
    assert sequences.count * of_each == SCORED[name] >= 1000


@pytest.mark.parametrize("name", NAMES)
def test_a_task_that_makes_sequences_has_a_test_set(name: str, build: Callable[..., Any], tmp_path: Path) -> None:
    task = make(name, build, tmp_path)
    assert hasattr(task, "test") == (name not in {"charlm", "random_labels", "sentiment"})
    if not hasattr(task, "test") or name in {"arrays", "table"}:
        return  # data of one's own have as much as they hold, see test_splits
    test, evaluation = task.test(np.random.default_rng(3)), task.evaluation(np.random.default_rng(2))
    assert test.count == task.test_size > 0
    assert test.x.shape[1:] == evaluation.x.shape[1:]
    assert test.y.shape[1:] == evaluation.y.shape[1:]
    assert not np.array_equal(test.x[: evaluation.count], evaluation.x[: test.count])
    assert same(test, task.test(np.random.default_rng(3)))
    assert build(name, test_size=5).test(np.random.default_rng(3)).count == 5
    assert build(name, test_size=0).test(np.random.default_rng(3)) is None


@pytest.mark.parametrize("name", ["arrays", "copying", "leftbit", "xor"])
def test_sequences_with_all_targets_right_are_counted(name: str, build: Callable[..., Any], tmp_path: Path) -> None:
    task = make(name, build, tmp_path)
    sequences = task.evaluation(np.random.default_rng(0))
    if name == "arrays":
        assert task.all_right(sequences.y, sequences) is None  # its targets are neither bits nor classes
        return
    assert task.all_right(sequences.y, sequences) == 1.0
    wrong = sequences.y.copy()
    last = sequences.timesteps - 1 if name != "xor" else 28
    wrong[0, last] = 1 - wrong[0, last]
    assert task.all_right(wrong, sequences) == 1 - 1 / sequences.count
    assert task.accuracy(wrong, sequences) > task.all_right(wrong, sequences)
    both = np.stack([sequences.y, wrong])
    assert task.all_right(both, sequences).tolist() == [1.0, 1 - 1 / sequences.count]
    assert task.all_right(np.full_like(wrong, np.nan), sequences) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_is_lines_even_of_a_diverged_network(
    name: str, build: Callable[..., Any], tmp_path: Path
) -> None:
    task = make(name, build, tmp_path)
    if hasattr(task, "show"):
        for predict in (lambda sequences: sequences.y, lambda sequences: np.full_like(sequences.y, np.nan)):
            lines = task.show(predict)
            assert lines
            assert all(line and "\n" not in line for line in lines)
