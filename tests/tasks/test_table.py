"""Tables become sequences: by a column, by windows, or row by row; what is wrong is said with its row and column."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bptt.core.annotations import InvalidValue
from bptt.core.random import Generator
from bptt.core.sequences import Sequences
from bptt.tasks import Table
from bptt.tasks.own_data.new_data import cut_new_table

Build = Callable[..., Any]
NONE: dict[str, Any] = {"eval_size": 0, "test_size": 0, "scale_inputs": False, "scale_targets": False}
RNG = Generator(np.random.SeedSequence(0))
SERIES = pd.DataFrame({"year": np.arange(1900, 1960), "spots": np.arange(60) * 0.5, "rain": np.arange(60) % 7})
LENGTHS = [3, 1, 4, 2] * 3
LONG = pd.DataFrame(
    {
        "who": np.repeat([f"s{i}" for i in range(12)], LENGTHS),
        "t": np.concatenate([np.arange(n) for n in LENGTHS]),
        "a": np.arange(30) * 0.1,
        "b": np.arange(30) * -1.0,
        "mood": np.repeat(["up", "down", "flat"] * 4, LENGTHS),
    }
)
WIDE = pd.DataFrame({"p": [1.0, 2, 3, 4], "q": [5, 6, np.nan, 8], "r": [9, np.nan, np.nan, 1], "kind": list("xyxy")})


def parts(task: Table) -> list[Sequences]:
    test = task.test(RNG)
    return [task.training().sequences, task.evaluation(RNG), *([] if test is None else [test])]


def test_a_series_is_cut_into_windows_within_each_part() -> None:
    task = Table(SERIES, time="year", target="spots", window=4, horizon=2, scale_inputs=False, scale_targets=False)
    training, evaluation, test = parts(task)
    assert task.preparation.inputs == ("spots", "rain")
    assert training.x.shape == (36 - 6 + 1, 4, 2)
    assert evaluation.count == test.count == 12 - 6 + 1
    assert np.array_equal(training.x[3, :, 0], SERIES["spots"][3:7])
    assert training.y[3, 0] == SERIES["spots"][8]
    for part, first, last in ((training, 0, 36), (evaluation, 36, 48), (test, 48, 60)):
        rows = np.concatenate([part.x[..., 0].ravel(), part.y.ravel()]) * 2
        assert first <= rows.min()
        assert rows.max() < last  # neither an input nor a target stands in another part's rows


def test_sequences_know_the_rows_of_their_targets() -> None:
    task = Table(SERIES, target="spots", window=4, horizon=2, scale_targets=False)
    for part in parts(task):
        assert np.array_equal(part.y[:, 0], SERIES["spots"].to_numpy()[part.rows])  # type: ignore[attr-defined]
    whole = Table(WIDE, **NONE).training().sequences
    assert whole.rows.tolist() == [0, 1, 2, 3]  # type: ignore[attr-defined]


def test_windows_may_skip_rows_and_have_a_target_at_every_timestep() -> None:
    task = Table(SERIES, inputs="rain", target="spots", window=5, stride=3, horizon=0, each="timestep", **NONE)
    training = task.training().sequences
    assert training.x.shape == (19, 5, 1)
    assert np.array_equal(training.x[2, :, 0], SERIES["rain"][6:11])
    assert np.array_equal(training.y[2, :, 0], SERIES["spots"][6:11])


def test_a_column_says_which_sequence_a_row_is_of_and_another_in_which_order() -> None:
    shuffled = LONG.sample(frac=1, random_state=1)
    task = Table(shuffled, sequence="who", time="t", target="mood", **NONE)
    sequences = task.training().sequences
    assert task.target == "classes"
    assert task.preparation.classes == ("down", "flat", "up")
    assert sequences.last_only
    names = list(dict.fromkeys(shuffled["who"]))
    for name, x, y, length in zip(names, sequences.x, sequences.y, sequences.full_lengths, strict=True):
        own = LONG[LONG["who"] == name]
        assert length == len(own)
        assert np.array_equal(x[:length], own[["a", "b"]])
        assert not x[length:].any()
        assert task.preparation.restore(y) == own["mood"].iloc[0]


def test_a_target_that_changes_within_a_sequence_is_one_of_every_timestep() -> None:
    task = Table(LONG, sequence="who", inputs=["a"], target=["b", "t"], **NONE)
    sequences = task.training().sequences
    assert sequences.y.shape == (12, 4, 2)
    assert np.array_equal(sequences.y[2], LONG[["b", "t"]][4:8])
    assert Table(LONG, sequence="who", inputs="a", target="b", each="sequence", **NONE).training().sequences.y[2] == -7
    shifted = Table(LONG, sequence="who", inputs="a", target="b", horizon=1, **NONE).training().sequences
    assert shifted.count == 9  # three have but one row
    assert np.array_equal(shifted.y[0, :2, 0], LONG["b"][1:3])


def test_a_row_may_be_a_whole_sequence() -> None:
    task = Table(WIDE, **NONE)
    sequences = task.training().sequences
    assert task.target == "two_classes"
    assert (task.inputs, task.outputs, task.timesteps) == (1, 1, 3)
    assert sequences.full_lengths.tolist() == [3, 2, 1, 3]
    assert sequences.x[1, :, 0].tolist() == [2, 6, 0]
    assert sequences.y[:, 0].tolist() == [0, 1, 0, 1]
    assert Table(WIDE, readout="softmax", **NONE).outputs == 2


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["b", "a"] * 10, "two_classes", ("a", "b")),
        ([True, False] * 10, "two_classes", ("False", "True")),
        ([3, 1, 2, 1] * 5, "classes", (1, 2, 3)),
        (list(range(20)), "numbers", None),
        ([0.5, 1.5] * 10, "numbers", None),
        ([1.0, 2.0] * 10, "numbers", None),
        (pd.Categorical(["u", "v"] * 10), "two_classes", ("u", "v")),
    ],
)
def test_what_targets_are_is_found_out_and_said(values: Any, kind: str, classes: Any) -> None:
    task = Table(pd.DataFrame({"x": np.arange(20.0), "y": values}), row="sequence")
    assert (task.target, task.preparation.classes) == (kind, classes)
    said = next(line for line in task.remarks if line.startswith("target y: "))
    assert ("found out" in said) == (classes == (1, 2, 3))
    forced = Table(pd.DataFrame({"x": np.arange(20.0), "y": [3, 1, 2, 1] * 5}), row="sequence", target_kind="numbers")
    assert forced.target == "numbers"


def test_the_training_part_alone_says_how_numbers_are_scaled() -> None:
    task = Table(SERIES, target="spots", window=4, inputs=["spots", "rain"])
    training, evaluation, test = parts(task)
    known = task.preparation
    rows = SERIES[["spots", "rain"]].to_numpy(float)[:36]
    windows = np.stack([rows[i : i + 4] for i in range(32)]).reshape(-1, 2)
    np.testing.assert_allclose(known.input_mean, windows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(known.input_scale, windows.std(axis=0), rtol=1e-14)
    np.testing.assert_allclose(training.y.mean(), 0, atol=1e-14)
    np.testing.assert_allclose(training.y.std(), 1, rtol=1e-14)
    assert evaluation.y.mean() > 1
    assert known.restore(test.y)[0, 0] == pytest.approx(SERIES["spots"][52], rel=1e-14)
    assert np.array_equal(known.prepare(rows[:4]), training.x[0])


def test_a_column_that_does_not_vary_is_only_moved() -> None:
    task = Table(SERIES.assign(rain=0.1), target="spots", window=4)
    assert task.preparation.input_scale[2] == 1.0
    assert not (np.abs(task.training().sequences.x[..., 2]) > 1e-15).any()


def test_what_is_unscaled_is_warned_of_and_what_is_not_held_out_said_in_capitals() -> None:
    task = Table(SERIES, target="spots", window=4, **NONE)
    assert any(line.startswith("EVALUATED ON THE TRAINING DATA") for line in task.remarks)
    assert any(line.startswith("inputs are not scaled: the largest of year is 1.96e+03") for line in task.remarks)
    assert any(line.startswith("targets are not scaled: the largest of spots is 29.5") for line in task.remarks)
    assert not any("not scaled" in line or "EVALUATED" in line for line in Table(SERIES, target="spots").remarks)


def test_the_split_is_the_same_for_every_seed_of_a_run_and_by_class() -> None:
    frame = pd.DataFrame({"p": np.arange(100.0), "q": 0.5, "kind": ["a"] * 70 + ["b"] * 30})
    first, second = (Table(frame, split_seed=seed, eval_size=0.1, scale_inputs=False) for seed in (0, 1))
    assert [part.count for part in parts(first)] == [70, 10, 20]
    assert parts(first)[1].y.sum() == 3
    assert parts(first)[2].y.sum() == 6
    assert not np.array_equal(parts(first)[1].x, parts(second)[1].x)
    last = parts(Table(frame, split="ordered", scale_inputs=False))[2]
    assert last.x[:, 0, 0].tolist() == list(range(80, 100))


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        ([*(f"{n}.5" for n in range(59)), "n/a?"], "row 60: 'n/a?'"),
        ([f"1,{n:03d}.5" for n in range(60)], "row 1: '1,000.5'"),
    ],
)
def test_numbers_that_a_text_spoils_are_no_labels(texts: list[str], shown: str) -> None:
    """A network that tells 59 labels apart is not what is meant."""
    frame = pd.DataFrame({"x": np.arange(60.0), "y": texts})
    with pytest.raises(InvalidValue) as refused:
        Table(frame, window=5)
    assert f"column 'y' holds text ({shown}), no numbers, where most are" in str(refused.value)
    assert Table(frame, window=5, target_kind="classes").preparation.kind == "classes"
    few = frame.assign(y=[*"0123456789", "none"] * 5 + [*"01234"])
    assert Table(few, window=5).preparation.classes == (*"0123456789", "none")


def test_gaps_in_time_are_told() -> None:
    """Windows run across them, as if the rows followed each other."""
    days = [*range(20), *range(30, 50), *range(52, 72)]
    dates = (pd.Timestamp("2026-01-01") + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"date": dates, "y": np.arange(60.0)})
    says = (
        "2 gaps in date, the longest of 11 usual steps, before row 21: the rows on both sides are taken for neighbours"
    )
    assert says in Table(frame, time="date", window=5).remarks
    assert says in Table(frame.assign(date=days), time="date", window=5).remarks
    even = frame.assign(date=np.arange(60) * 0.1)
    rng = np.random.Generator(np.random.PCG64(1))
    uneven = frame.assign(date=rng.exponential(1.0, 60).cumsum())
    for other in (even, uneven):
        assert not any("gap" in remark for remark in Table(other, time="date", window=5).remarks)
    several = pd.concat([even.assign(who="a"), even.assign(who="b", date=even["date"] + 100.0)], ignore_index=True)
    remarks = Table(several, time="date", sequence="who", window=5, horizon=1, split="ordered").remarks
    assert not any("gap" in remark for remark in remarks)


def test_the_naive_forecast_is_the_last_value_that_was_seen() -> None:
    task = Table(SERIES, target="spots", window=4, inputs=["rain", "spots"])
    test = task.test(RNG)
    assert test is not None
    naive = task.naive(test)
    assert naive is not None
    np.testing.assert_allclose(task.preparation.restore(naive)[:, 0], np.arange(51, 59) * 0.5, rtol=1e-14)
    assert Table(SERIES, target="spots", window=4, inputs="rain").naive(test) is None
    assert Table(WIDE).naive(test) is None


def test_the_same_table_in_memory_and_in_files(tmp_path: Path) -> None:
    held = Table(LONG, sequence="who", time="t", target="mood")
    saved = held.save(tmp_path / "data")
    LONG.to_csv(tmp_path / "long.csv", index=False)
    LONG.to_csv(tmp_path / "long.tsv", index=False, sep="\t")
    again = Table(path=str(saved), sequence="who", time="t", target="mood")
    assert again.content == held.content
    assert held.save(tmp_path / "data") == saved
    assert saved.stem == held.content[:16]
    for path in (saved, tmp_path / "long.csv", tmp_path / "long.tsv"):
        other = Table(path=str(path), sequence="who", time="t", target="mood")
        for one, two in zip(parts(held), parts(other), strict=True):
            assert np.array_equal(one.x, two.x)
            assert np.array_equal(one.y, two.y)
            assert np.array_equal(one.full_lengths, two.full_lengths)
    assert held.overrides(tmp_path) == [
        "task=table",
        f"task.path='{tmp_path / saved.name}'",
        "task.target=['mood']",
        "task.sequence='who'",
        "task.time='t'",
    ]


def test_equal_tables_are_equal_tasks_and_others_are_not() -> None:
    one, same = Table(LONG, sequence="who"), Table(LONG.copy(), sequence="who")
    assert one == same
    assert hash(one) == hash(same)
    assert one != Table(LONG.assign(a=0.0), sequence="who")
    assert one != Table(LONG, sequence="who", split_seed=1)
    sent = pickle.loads(pickle.dumps(one))
    assert sent == one
    assert np.array_equal(sent.training().sequences.x, one.training().sequences.x)


def test_new_rows_are_cut_and_scaled_as_the_training_s_were() -> None:
    task = Table(LONG, sequence="who", time="t", inputs="a", target="b", horizon=1, eval_size=0, test_size=0)
    new = cut_new_table(LONG.drop(columns=["b", "mood"]).iloc[::-1], task.preparation)
    assert new.names is not None
    place = new.names.index("s2")
    assert new.sequences.full_lengths[place] == 4
    assert np.array_equal(
        new.sequences.x[place, :, 0], task.preparation.prepare(LONG["a"][4:8].to_numpy()[:, None])[:, 0]
    )
    assert new.rows[place].tolist() == [24, 23, 22, -1]  # of rows that stand the other way round
    series = Table(SERIES, target="spots", window=4, time="year")
    foretold = cut_new_table(SERIES, series.preparation)
    assert foretold.rows.tolist() == [*range(4, 60), -1]
    assert np.array_equal(foretold.sequences.x[:32], series.training().sequences.x)
    wide = cut_new_table(WIDE.drop(columns="kind"), Table(WIDE, **NONE).preparation)
    assert np.array_equal(wide.sequences.x, Table(WIDE, **NONE).training().sequences.x)
    with pytest.raises(ValueError, match="column 'a': no such column"):
        cut_new_table(LONG.rename(columns={"a": "A"}), task.preparation)
    with pytest.raises(ValueError, match="a window needs 4 rows, there are 3"):
        cut_new_table(SERIES[:3], series.preparation)


@pytest.mark.parametrize(
    ("frame", "values", "says"),
    [
        (LONG, {"target": "moood"}, "target=moood: no such column; did you mean mood? (columns: who, t, a, b, mood)"),
        (LONG, {"sequence": "when"}, "sequence=when: no such column (columns: who, t, a, b, mood)"),
        (LONG, {"sequence": "who", "time": "who"}, "time=who: is task.sequence"),
        (LONG, {"sequence": "who", "inputs": ["who", "a"]}, "who is task.sequence"),
        (LONG, {"sequence": "who", "inputs": ["a", "a"]}, "must name each column once"),
        (LONG, {"sequence": "who", "inputs": []}, "must name a column or more, or be null"),
        (LONG, {"sequence": "who", "inputs": ["a", "b"], "target": "b"}, "b is the target in the same row"),
        (LONG, {"sequence": "who", "target": ["a", "mood"]}, "several targets must be numbers"),
        (LONG, {"sequence": "who", "target_kind": "numbers"}, "mood holds no numbers; use classes"),
        (LONG, {"sequence": "who", "target": "a", "target_kind": "classes", "inputs": "b"}, "not whole; use numbers"),
        (LONG, {"sequence": "who", "target": "a", "inputs": "mood"}, "column 'mood' holds text (row 1: 'up')"),
        (LONG, {"target": "a", "window": 3}, "or say task.time=who or task.sequence=who if it is that"),
        (LONG, {"row": "sequence", "sequence": "who"}, "then every row is a sequence, and there is no task.sequence"),
        (LONG, {"sequence": "who", "window": 9}, "a window needs 9 rows, the training part has 4"),
        (LONG, {"sequence": "who", "eval_size": 0.9}, "eval_size=0.9: of 12 nothing is left to train on"),
        (LONG.assign(t=0), {"sequence": "who", "time": "t"}, "column 't': rows 1 and 2 have the same time, 0"),
        (LONG.assign(t="x"), {"sequence": "who", "time": "t"}, "column 't', row 1: 'x' is no time"),
        (
            SERIES,
            {"target": "spots", "window": 40},
            "a window needs 41 rows with its target 1 later, the training part has 36",
        ),
        (SERIES, {"window": 4, "split": "random"}, "split=random: windows of one series share rows"),
        (SERIES.mask(SERIES == 3), {}, "column 'rain', row 4: a value is missing (9 rows lack it)"),
        (SERIES.assign(spots=np.inf), {}, "column 'spots', row 1: is inf; every number must be finite"),
        (SERIES[["year"]], {"horizon": 0}, "inputs=None: no column is left for them (columns: year)"),
        (WIDE.assign(p=np.nan), {}, "column 'p', row 1: a value is missing"),
        (WIDE.assign(kind="x"), {}, "column 'kind' has but one class, 'x'"),
        (WIDE[:0], {}, "holds no row"),
        (pd.concat([WIDE, WIDE], axis=1), {}, "has 4 columns twice: p, q, r, kind"),
        ([1, 2], {}, "frame=list: must be a pandas DataFrame, is list"),
    ],
)
def test_what_is_wrong_is_said(frame: Any, values: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        Table(frame, **values)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,b\n", "holds no row"),
        ("t.csv", "a,b\n1,é\n".encode("latin-1"), "line 2: not UTF-8 (byte 0xe9); save it as UTF-8"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), "line 1: not UTF-8 (byte 0xff)"),
        ("t.csv", b"a,b\n1,\0\n", "line 2: holds a zero byte; it is no text"),
        ("t.csv", b"a,b\n1,2\n3,4,5\n", "line 3 has 3 values, the header 2"),
        ("t.csv", b"a,b\n1,2,3\n4,5,6\n", "its lines have more values than the header, which has 2"),
        ("t.csv", b"a,b\n1\n2,3\n", "column 'b', row 1: a value is missing"),
        ("t.csv", b"a,b,a\n1,2,3\n", "has column 'a' twice"),
        ("t.csv", b",b\n0,2\n", "column 1 has no name in the header (pandas writes one without a name"),
        ("t.csv", b"1,2\n3,4\n", "its first line holds numbers (1, 2); it must name the columns"),
        ("t.csv", b'a,b\n"1,2\n', "a quotation mark is opened, and not closed"),
        ("t.csv", b"a;b\n1,5;2\n2,5;3\n", "text (row 1: '1,5'; numbers need a decimal point)"),
        ("t.csv", b"a,b\n1,2\nx,3\n", "column 'a' holds text (row 2: 'x')"),
        ("t.xlsx", b"PK", "must be a .csv file with a header, or a .parquet file"),
        ("t.npz", b"PK", "task=arrays reads .npz and .npy files"),
        ("t.parquet", b"PAR1", "no .parquet file that can be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(build: Build, tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidValue) as raised:
        build("table", path=str(path))
    assert raised.value.field == "path"
    assert says in raised.value.allowed
    assert "\n" not in raised.value.allowed


def test_a_file_that_is_too_large_is_not_read(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bptt.tasks.own_data.tables.measure_memory", lambda: 100)
    SERIES.to_csv(tmp_path / "t.csv", index=False)
    SERIES.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(InvalidValue, match="5 times which are needed to read it"):
            build("table", path=str(tmp_path / name))


def test_a_file_that_changes_is_read_again(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    SERIES.to_csv(path, index=False)
    first = build("table", path=str(path), target="spots")
    SERIES[["spots"]].to_csv(path, index=False)
    second = build("table", path=str(path), target="spots")
    assert (first.inputs, second.inputs) == (3, 1)
    assert first != second
