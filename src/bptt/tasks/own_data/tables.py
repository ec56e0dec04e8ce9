"""A table from a .csv or .parquet file, checked; and its columns as numbers.

What is wrong is a ValueError with one line, in which rows are counted from 1.
"""

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from bptt.core.sequences import Floats, measure_memory

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS: Final = (",", ";", "\t", "|")
_TIMES: Final = 5  # as much memory as a file's size is taken while it is read
_WHAT: Final = "a .csv file with a header, or a .parquet file"


def load_table(file: Path) -> "pd.DataFrame":
    """The table in a file, with a name for each column."""
    kind = file.suffix.lower()
    try:
        if kind in (".parquet", ".pq"):
            return check_columns(_read_parquet(file))
        if kind in (".csv", ".tsv", ".txt"):
            return check_columns(_read_csv(file))
    except OSError as error:
        raise ValueError(f"the file can't be read ({error.strerror or error})") from None
    meant = "; task=arrays reads .npz and .npy files" if kind in (".npz", ".npy") else ""
    raise ValueError(f"must be {_WHAT}{meant}")


def check_columns(frame: Any) -> "pd.DataFrame":
    """The same table, its columns called by texts and its rows by their places."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"must be a pandas DataFrame, is {type(frame).__name__}")
    if frame.columns.nlevels > 1:
        raise ValueError("has names of columns on several levels; give each column one name")
    names = [str(name) for name in frame.columns]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"has {len(twice)} columns twice: {_list(twice)}" if twice[1:] else f"has column {twice[0]!r} twice"
        )
    if frame.empty:
        raise ValueError("holds no row" if names else "holds no column")
    return frame.set_axis(names, axis=1).reset_index(drop=True)


def find_column(name: str, frame: "pd.DataFrame") -> str:
    """The same name; ValueError where there is no such column, with the one that was probably meant."""
    if name in frame.columns:
        return name
    near = get_close_matches(name, frame.columns, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"no such column{meant} (columns: {_list([*frame.columns])})")


def find_missing(column: "pd.Series") -> int | None:
    """The first row, from 0, in which there is no value; None: there is one in each."""
    missing = column.isna().to_numpy()
    return int(missing.argmax()) if missing.any() else None


def refuse_missing(column: "pd.Series") -> None:
    """Raise ValueError where a row has no value."""
    row = find_missing(column)
    if row is not None:
        count = int(column.isna().to_numpy().astype(int).sum())
        more = f" ({count:,} rows lack it)" if count > 1 else ""
        raise ValueError(
            f"column {column.name!r}, row {row + 1}: a value is missing{more}; fill it in, or drop the row"
        )


def is_numeric(column: "pd.Series") -> bool:
    """Whether a column holds real numbers, or true and false."""
    from pandas.api import types

    return bool(types.is_bool_dtype(column) or (types.is_numeric_dtype(column) and not types.is_complex_dtype(column)))


def is_time(column: "pd.Series") -> bool:
    """Whether a column holds times."""
    from pandas.api import types

    return bool(types.is_datetime64_any_dtype(column))


def to_numbers(column: "pd.Series", missing: bool = False) -> Floats:
    """(rows,) the numbers of a column; missing: whether values may be, which then are NaN."""
    if not is_numeric(column):
        raise ValueError(f"column {column.name!r} holds {_describe(column)}, no numbers")
    if not missing:
        refuse_missing(column)
    found: Floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.isinf(found)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"column {column.name!r}, row {row + 1}: is {found[row]}; every number must be finite")
    return found


def count_timesteps(values: Any, names: Iterable[str]) -> NDArray[np.int64]:
    """(rows,) how many timesteps each row has; ValueError where a value is missing before the last, or all are."""
    there = ~np.isnan(values)
    lengths = np.where(there.any(axis=1), there.shape[1] - there[:, ::-1].argmax(axis=1), 0)
    gaps = np.argwhere(~there & (np.arange(there.shape[1]) < np.maximum(lengths, 1)[:, None]))
    if len(gaps):
        row, column = gaps[0].tolist()
        raise ValueError(f"column {[*names][column]!r}, row {row + 1}: a value is missing; fill it in, or drop the row")
    return np.asarray(lengths, np.int64)


def _describe(column: "pd.Series") -> str:
    """What a column that is not of numbers holds, with an example."""
    if is_time(column):
        return "times"
    present = column.dropna()
    if present.empty:
        return "nothing"
    row = present.index[0]
    for place, value in present.items():
        try:
            float(value)
        except (TypeError, ValueError):
            row = place
            break
    value = present[row]
    shown = f"{str(value)[:40]!r}"
    comma = isinstance(value, str) and re.fullmatch(r"\s*-?\d+,\d+\s*", value)
    return f"text (row {int(row) + 1}: {shown}{'; numbers need a decimal point' if comma else ''})"


def _list(names: list[str], most: int = 12) -> str:
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in names[:most]]
    return ", ".join(shown) + (f", … ({len(names)} in all)" if len(names) > most else "")


def _refuse_large(size: int) -> None:
    memory = measure_memory()
    if _TIMES * size > memory:
        raise ValueError(
            f"has {size / 2**30:,.1f} GiB, {_TIMES} times which are needed to read it; this machine has"
            f" {memory / 2**30:,.1f} GiB of memory"
        )


def _read_parquet(file: Path) -> "pd.DataFrame":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            known = parquet.metadata
            _refuse_large(8 * known.num_rows * known.num_columns)
            table = parquet.read(use_threads=False)
    except (pa.ArrowException, ValueError) as error:
        if isinstance(error, ValueError) and "GiB" in str(error):
            raise
        raise ValueError(f"no .parquet file that can be read ({' '.join(str(error).split())[:200]})") from None
    names = [name for name in table.column_names if not re.fullmatch("__index_level_[0-9]+__", name)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"has column {twice[0]!r} twice")
    frame: pd.DataFrame = table.select(names).to_pandas(use_threads=False, ignore_metadata=True)
    return frame


def _read_csv(file: Path) -> "pd.DataFrame":
    import pandas as pd

    _refuse_large(file.stat().st_size)
    text = _decode(file.read_bytes())
    names, separator = _read_header(text)
    # From pandas 3.1 on every number is read to the bit, and it warns where that is asked for.
    old = tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
    exact: dict[str, Any] = {"float_precision": "round_trip"} if old else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame: pd.DataFrame = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                header=0,
                names=names,
                index_col=False,
                **exact,
                low_memory=False,
                skipinitialspace=True,
            )
    except pd.errors.ParserWarning:
        raise ValueError(f"its lines have more values than the header, which has {len(names)}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OverflowError) as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if found:
            raise ValueError(f"line {found[2]} has {found[3]} values, the header {found[1]}") from None
        if "EOF inside string" in str(error):
            raise ValueError("a quotation mark is opened, and not closed") from None
        raise ValueError(f"can't be parted into columns ({' '.join(str(error).split())[:200]})") from None
    return frame


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line}: not UTF-8 (byte 0x{data[error.start]:02x}); save it as UTF-8") from None
    if "\0" in text:
        raise ValueError(f"line {text[: text.index(chr(0))].count(chr(10)) + 1}: holds a zero byte; it is no text")
    if not text.strip():
        raise ValueError("is empty")
    return text


def _read_header(text: str) -> tuple[list[str], str]:
    """The names of the columns, and what separates them: of the usual signs the one that the header has most of."""
    first = next(line for line in text.splitlines() if line.strip())
    bare = re.sub(r'"[^"]*"', "", first)
    separator = max(_SEPARATORS, key=bare.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator, skipinitialspace=True))]
    for number, name in enumerate(names, start=1):
        if not name:
            says = "(pandas writes one without a name; to_csv(index=False) leaves it out)" if number == 1 else ""
            raise ValueError(f"column {number} has no name in the header {says}".rstrip())
    if all(_is_number(name) for name in names):
        raise ValueError(f"its first line holds numbers ({_list(names, 3)}); it must name the columns")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"has column {twice[0]!r} twice")
    return names, separator


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
