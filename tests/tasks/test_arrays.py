import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bptt.core.annotations import InvalidValue

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
        ({"x": X, "y": Y[:4]}, "y of shape (4, 4, 2) doesn't go with x of shape (5, 4, 3): N or T differs"),
        ({"x": X, "y": Y[:, :3]}, "y of shape (5, 3, 2) doesn't go with x of shape (5, 4, 3): N or T differs"),
        ({"x": X, "y": LAST[:4]}, "y of shape (4, 2) doesn't go with x of shape (5, 4, 3): N differs"),
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
