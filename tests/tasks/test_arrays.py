import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue
from bptt.tasks import Arrays

Build = Callable[..., Any]
RNG = np.random.default_rng(0)
X, Y, LAST = RNG.random((5, 4, 3)), RNG.random((5, 4, 2)), RNG.random((5, 2))
NAN = float("nan")


def write(folder: Path, **arrays: Any) -> str:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return str(path)


def changed(array: NDArray[Any], place: tuple[int, ...], value: float) -> NDArray[Any]:
    copy = array.copy()
    copy[place] = value
    return copy


def test_targets_at_every_timestep_with_lengths_and_an_evaluation(build: Build, tmp_path: Path) -> None:
    lengths = np.array([4, 1, 2, 3, 4])
    path = write(tmp_path, x=X, y=Y, lengths=lengths, eval_x=X[:2, :2], eval_y=Y[:2, :2], eval_lengths=lengths[1:3])
    task = build("arrays", path=path)
    training, evaluation = task.training().sequences, task.evaluation(np.random.default_rng(0))
    assert (task.inputs, task.outputs, task.timesteps) == (3, 2, 4)
    for i, length in enumerate(lengths):
        assert np.array_equal(training.x[i, :length], X[i, :length])
        assert np.array_equal(training.y[i, :length], Y[i, :length])
    assert training.full_lengths.tolist() == [4, 1, 2, 3, 4]
    assert evaluation.full_lengths.tolist() == [1, 2]
    assert np.array_equal(evaluation.x[1], X[1, :2])


def test_targets_at_the_end_alone_and_no_evaluation(build: Build, tmp_path: Path) -> None:
    task = build("arrays", path=write(tmp_path, x=X, y=LAST))
    assert task.training().sequences.last_only
    assert np.array_equal(task.training().sequences.y, LAST)
    assert task.evaluation(np.random.default_rng(0)) is task.training().sequences


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int32, np.float16, np.float32, np.longdouble])
def test_every_real_number_is_read(build: Build, tmp_path: Path, kind: type) -> None:
    path = write(tmp_path, x=(X > 0.5).astype(kind), y=(LAST > 0.5).astype(kind))
    sequences = build("arrays", path=path).training().sequences
    assert sequences.x.dtype == sequences.y.dtype == np.float64
    assert np.array_equal(sequences.x, X > 0.5)


def test_what_stands_behind_the_end_is_ignored(build: Build, tmp_path: Path) -> None:
    x, y = changed(X, (1, 2, 0), NAN), changed(Y, (1, 3, 1), np.inf)
    sequences = build("arrays", path=write(tmp_path, x=x, y=y, lengths=np.array([4, 2, 4, 4, 4]))).training().sequences
    assert not sequences.x[1, 2:].any()
    assert not sequences.y[1, 2:].any()
    assert np.array_equal(sequences.x[1, :2], X[1, :2])


def test_row_i_serves_update_i_modulo_n(build: Build, tmp_path: Path) -> None:
    path = write(tmp_path, x=X, y=LAST)
    rows = build("arrays", path=path, order="sequential").training().page(np.random.SeedSequence(0), 0, 1).rows
    assert rows[:12, 0].tolist() == [update % 5 for update in range(12)]
    rows = build("arrays", path=path, order="shuffled").training().page(np.random.SeedSequence(0), 0, 1).rows
    epochs = rows[:4000].reshape(-1, 5)
    assert (np.sort(epochs) == np.arange(5)).all()
    assert len(np.unique(epochs, axis=0)) == 120


def test_accuracy_where_it_means_something(build: Build, tmp_path: Path) -> None:
    bits, classes = (LAST > 0.5).astype(float), np.eye(2)[[0, 1, 1, 0, 1]]
    wrong = np.array([[0.9, 0.1]] * 5)
    for y, readout, accuracy in (
        (classes, "softmax", 0.4),
        (classes, "sigmoid", 0.4),
        (classes, "identity", None),
        (bits, "sigmoid", float((bits == np.rint(wrong)).mean())),
        (bits + 0.5, "sigmoid", None),
        (LAST, "softmax", None),
    ):
        task = build("arrays", path=write(tmp_path, x=X, y=y), readout=readout)
        assert task.accuracy(wrong, task.evaluation(np.random.default_rng(0))) == accuracy


LABELS = np.array(["wet", "dry", "ice"] * 4)
MANY = RNG.random((12, 4, 3))
NONE: Any = None  # the sets are always the same


def take_test(task: Any) -> Any:
    return task.test(NONE)


def test_labels_become_one_hot_vectors_and_two_share_an_output() -> None:
    task = Arrays(MANY, LABELS, eval_size=0, test_size=0)
    assert (task.target, task.outputs, task.preparation.classes) == ("classes", 3, ("dry", "ice", "wet"))
    y = task.training().sequences.y
    assert y[:3].tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert task.preparation.restore(y).tolist() == LABELS.tolist()
    assert task.accuracy(y, task.training().sequences) == 1.0
    two = Arrays(MANY, [7, 5] * 6, eval_size=0, test_size=0)
    assert (two.target, two.outputs, two.preparation.classes) == ("two_classes", 1, (5, 7))
    assert two.training().sequences.y[:2].tolist() == [[1], [0]]
    assert two.accuracy(np.full((12, 1), 0.9), two.training().sequences) == 0.5
    assert Arrays(MANY, [7, 5] * 6, readout="softmax").outputs == 2


def test_labels_of_every_timestep_and_numbers_of_every_kind() -> None:
    words = np.array([["a", "b", "a", "zzz"]] * 12)
    task = Arrays(MANY, words, np.full(12, 3), eval_size=0, test_size=0)
    assert task.preparation.classes == ("a", "b")  # what stands behind the end is no label
    assert task.training().sequences.y[0, :3, 0].tolist() == [0, 1, 0]
    digits = np.tile(np.arange(4), (12, 1))
    assert Arrays(MANY, digits).target == "numbers"
    assert any("target_kind=classes" in line for line in Arrays(MANY, digits).remarks)
    assert Arrays(MANY, digits, target_kind="classes", eval_size=0, test_size=0).training().sequences.y.shape == (
        12,
        4,
        4,
    )
    counts = Arrays(MANY, np.arange(12))
    assert (counts.target, counts.outputs) == ("numbers", 1)
    assert Arrays(MANY, np.arange(12) % 3, target_kind="numbers").target == "numbers"
    assert Arrays(MANY, np.arange(12) % 3 > 0).preparation.classes == ("False", "True")


def test_sequences_in_a_list_may_differ_in_length() -> None:
    task = Arrays([MANY[i, : 1 + i % 4] for i in range(12)], LABELS, eval_size=0, test_size=0)
    sequences = task.training().sequences
    assert sequences.full_lengths.tolist() == [1, 2, 3, 4] * 3
    assert np.array_equal(sequences.x[1, :2], MANY[1, :2])
    assert not sequences.x[1, 2:].any()


def test_a_fifth_of_ten_or_more_is_held_out_and_scaled_by_the_rest() -> None:
    y = RNG.random((12, 1)) * 50
    task = Arrays(MANY, y, scale_inputs=True, scale_targets=True)
    training, test = task.training().sequences, take_test(task)
    assert (training.count, task.evaluation(NONE).count, test.count) == (8, 2, 2)
    np.testing.assert_allclose(training.x.mean(axis=(0, 1)), 0, atol=1e-14)
    np.testing.assert_allclose(training.y.std(), 1, rtol=1e-14)
    assert np.isin(task.preparation.restore(test.y).round(9), y.round(9)).all()
    few, stream = Arrays(MANY[:9], y[:9]), Arrays(MANY, y, order="sequential")
    for one in (few, stream):
        assert take_test(one) is None
        assert one.evaluation(NONE) is one.training().sequences
        assert any(line.startswith("EVALUATED ON THE TRAINING DATA") for line in one.remarks)
    last = Arrays(MANY, y, split="ordered", eval_size=0, test_size=0.25)
    assert np.array_equal(take_test(last).y, y[9:])


def test_parts_of_the_file_s_own_are_taken(build: Build, tmp_path: Path) -> None:
    path = write(tmp_path, x=MANY, y=LABELS, eval_x=MANY[:2], eval_y=LABELS[:2], test_x=MANY[:3], test_y=LABELS[:3])
    task = build("arrays", path=path)
    assert [part.count for part in (task.training().sequences, task.evaluation(NONE), take_test(task))] == [12, 2, 3]
    with pytest.raises(InvalidValue, match=r"eval_size=0\.5: the arrays have eval_x already; use null"):
        build("arrays", path=path, eval_size=0.5)


def test_the_same_arrays_in_memory_and_in_files(build: Build, tmp_path: Path) -> None:
    held = Arrays(MANY, LABELS)
    saved = held.save(tmp_path / "data")
    assert held.save(tmp_path / "data") == saved
    assert np.load(saved)["y"].tolist() == LABELS.tolist()
    np.save(tmp_path / "x.npy", MANY)
    np.save(tmp_path / "y.npy", LABELS)
    others = [build("arrays", path=str(saved)), build("arrays", path=write(tmp_path, x=MANY, y=LABELS))]
    others.append(build("arrays", path=str(tmp_path / "x.npy"), y_path=str(tmp_path / "y.npy")))
    for other in others:
        assert other.content == held.content
        assert np.array_equal(other.training().sequences.x, held.training().sequences.x)
        assert np.array_equal(take_test(other).y, take_test(held).y)
    assert held.overrides(tmp_path) == ["task=arrays", f"task.path='{tmp_path / saved.name}'"]
    assert held == Arrays(MANY.copy(), LABELS.tolist())
    assert held != Arrays(MANY + 1, LABELS)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"path": "x.npy"}, "holds one array; give the targets as task.y_path=y.npy"),
        ({"path": "x.npy", "y_path": "nothing.npy"}, "y_path=nothing.npy: no such file"),
        ({"path": "a.npz", "y_path": "x.npy"}, "task.y_path goes with an .npy file; an .npz file has x and y"),
        ({"path": "broken.npy", "y_path": "x.npy"}, "not an .npy file (numpy.save writes them)"),
        ({"path": "short.npy", "y_path": "x.npy"}, "short.npy can't be read (its header says float64 of shape"),
        ({"path": "object.npy", "y_path": "x.npy"}, "object.npy holds Python objects; only numbers are read"),
    ],
)
def test_files_of_one_array(given: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", MANY)
    np.savez("a.npz", x=MANY, y=LABELS)
    np.save("object.npy", np.array([None]), allow_pickle=True)
    Path("broken.npy").write_text("x")
    Path("short.npy").write_bytes(Path("x.npy").read_bytes()[:-8])
    with pytest.raises(InvalidValue) as raised:
        Arrays(**given)  # type: ignore[arg-type]
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"x": MANY, "y": LABELS[:5]}, "y of shape (5,) doesn't go with x of shape (12, 4, 3): N differs"),
        ({"x": MANY, "y": ["a"] * 12}, "has but one class, 'a'; there must be two or more"),
        ({"x": MANY, "y": LABELS, "target_kind": "numbers"}, "y holds texts, as 'wet'; use classes"),
        ({"x": MANY, "y": RNG.random(12), "target_kind": "classes"}, "not whole; use numbers"),
        ({"x": MANY, "y": LABELS, "path": "a.npz"}, "arrays were given as well; give either"),
        ({"x": MANY, "y": LABELS.reshape(6, 2).repeat(2, 0)}, "labels are (N,), one for each sequence, or (N, T)"),
        ({"x": [MANY[0], MANY[1, :2, :2]], "y": [0, 1]}, "all but the first size must agree"),
        ({"x": MANY, "y": [*LABELS[:11], None]}, "holds a missing label"),
    ],
)
def test_what_is_wrong_in_memory_is_said(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        Arrays(**given)
    assert says in str(raised.value)


def test_a_file_that_changes_is_read_again(build: Build, tmp_path: Path) -> None:
    assert build("arrays", path=write(tmp_path, x=X, y=LAST)).outputs == 2
    assert build("arrays", path=write(tmp_path, x=X, y=LAST[:, :1])).outputs == 1


@pytest.mark.parametrize(
    ("arrays", "allowed"),
    [
        ({"x": X}, "no array y; there are: x"),
        ({"y": Y}, "no array x; there are: y"),
        ({"x": X, "y": Y, "eval_x": X}, "no array eval_y; there are: x, y, eval_x"),
        ({"x": X, "y": Y, "eval_y": Y}, "eval_y without eval_x"),
        ({"x": X, "y": Y, "eval_lengths": np.ones(5, int)}, "eval_lengths without eval_x"),
        ({"x": X, "y": Y, "length": np.ones(5, int)}, "unknown array 'length'; did you mean 'lengths'?"),
        (
            {"x": X, "y": Y, "weights": X},
            "unknown array 'weights'; known: x, y, lengths, eval_x, eval_y, eval_lengths, test_x, test_y, test_lengths",
        ),
        (
            {"x": X[0], "y": Y},
            "x has shape (4, 3), not (N, T, inputs): one input per timestep is x[:, :, None];"
            " one sequence of 4 timesteps is x[None]",
        ),
        (
            {"x": X[:, 0, 0], "y": Y},
            "x has shape (5,), not (N, T, inputs): a single series is cut into windows by task=table"
            " task.path=series.csv task.window=20",
        ),
        (
            {"x": X[..., None], "y": Y},
            "x has shape (5, 4, 3, 1), not (N, T, inputs): x.reshape(*x.shape[:2], -1) puts a timestep's numbers"
            " in a row",
        ),
        (
            {"x": X[:, :2].transpose(1, 0, 2), "y": LAST},
            "y of shape (5, 2) doesn't go with x of shape (2, 5, 3): N differs; x.transpose(1, 0, 2) puts sequences"
            " first, if timesteps are now",
        ),
        (
            {"x": X, "y": Y[..., None]},
            "y has shape (5, 4, 2, 1), neither (N,) nor (N, outputs) nor (N, T, outputs): y.reshape(len(y), -1) puts a"
            " sequence's outputs in a row",
        ),
        ({"x": X, "y": Y[0, 0]}, "y of shape (2,) doesn't go with x of shape (5, 4, 3): N differs"),
        ({"x": X, "y": Y[:3]}, "y of shape (3, 4, 2) doesn't go with x of shape (5, 4, 3): N or T differs"),
        ({"x": X, "y": Y[:, :3]}, "y of shape (5, 3, 2) doesn't go with x of shape (5, 4, 3): N or T differs"),
        ({"x": X, "y": LAST[:3]}, "y of shape (3, 2) doesn't go with x of shape (5, 4, 3): N differs"),
        ({"x": X[:0], "y": Y[:0]}, "x of shape (0, 4, 3) is empty"),
        ({"x": X, "y": Y[:, :, :0]}, "y of shape (5, 4, 0) is empty"),
        ({"x": X.astype(complex), "y": Y}, "x holds complex128; only real numbers are read"),
        ({"x": X.astype(str), "y": Y}, "x holds <U32; only real numbers are read"),
        ({"x": X.astype(object), "y": Y}, "x holds Python objects; only numbers are read"),
        (
            {"x": changed(X, (1, 2, 0), NAN), "y": Y},
            "x[1, 2, 0] is nan; every number must be finite; fill it in, or drop the sequence",
        ),
        ({"x": X, "y": changed(LAST, (3, 1), -np.inf)}, "y[3, 1] is -inf; every number must be finite"),
        ({"x": X, "y": Y, "lengths": np.ones(4, int)}, "lengths has shape (4,), not (5,), one for each sequence"),
        ({"x": X, "y": Y, "lengths": np.ones(5)}, "lengths holds float64, not whole numbers"),
        ({"x": X, "y": Y, "lengths": np.array([4, 5, 4, 4, 4])}, "lengths[1] is 5, not between 1 and T = 4"),
        ({"x": X, "y": Y, "lengths": np.array([4, 4, 4, 4, 0])}, "lengths[4] is 0, not between 1 and T = 4"),
        (
            {"x": X, "y": Y, "eval_x": X[:, :, :2], "eval_y": Y},
            "eval_x of shape (5, 4, 2) doesn't go with x of shape (5, 4, 3): the last size differs",
        ),
        (
            {"x": X, "y": Y, "eval_x": X, "eval_y": LAST},
            "eval_y of shape (5, 2) doesn't go with y of shape (5, 4, 2): the number of axes differs",
        ),
    ],
)
def test_what_is_wrong_with_the_arrays_is_said(
    build: Build, tmp_path: Path, arrays: dict[str, Any], allowed: str
) -> None:
    path = write(tmp_path, **arrays)
    with pytest.raises(InvalidValue) as raised:
        build("arrays", path=path)
    assert (raised.value.field, raised.value.value, raised.value.allowed) == ("path", path, allowed)


def test_what_is_no_npz_file_is_said(build: Build, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"task\.path=data\.npz"):
        build("arrays", path=None)
    with pytest.raises(InvalidValue, match="no such file"):
        build("arrays", path=str(tmp_path / "nothing.npz"))
    text, single, other, broken = (tmp_path / name for name in ("a.npz", "b.npz", "c.npz", "d.npz"))
    text.write_text("x")
    with single.open("wb") as file:
        np.save(file, X)
    for path in (text, single):
        with pytest.raises(InvalidValue, match="not an"):
            build("arrays", path=str(path))
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("x", "no array")
    with pytest.raises(InvalidValue, match="x holds no array; only real numbers are read"):
        build("arrays", path=str(other))
    whole = Path(write(tmp_path, x=X, y=Y)).read_bytes()
    broken.write_bytes(whole.replace(X.tobytes()[:8], b"broken!!"))
    with pytest.raises(InvalidValue, match="x can't be read"):
        build("arrays", path=str(broken))
