"""Tables that can't be read, or don't have what is asked of them."""

from typing import Final

from tests.bad_input.case import Case
from tests.bad_input.making import Given, all_of, folder, text

_GOOD: Final = "who,t,a,b,mood\n" + "".join(
    f"s{i // 3},{i % 3},{i},{i}.5,{'up' if i < 18 else 'down'}\n" for i in range(36)
)

#: What is wrong with t.csv as `task.path`, and the line for it.
_FILES: Final[list[tuple[Given, str]]] = [
    (lambda _: None, "no such file"),
    (folder("t.csv"), "is a folder"),
    (text("t.csv", ""), "is empty"),
    (text("t.csv", "a,b\n"), "holds no row"),
    (text("t.csv", "a,a\n1,2\n"), "has column 'a' twice"),
    (text("t.csv", "a,\n1,2\n"), "column 2 has no name in the header"),
    (text("t.csv", "1,2\n3,4\n"), "its first line holds numbers (1, 2); it must name the columns"),
    (text("t.csv", "a,b\n1,2\n1,2,3\n"), "line 3 has 3 values, the header 2"),
    (text("t.csv", "a,b\n1,2,3\n4,5,6\n"), "its lines have more values than the header"),
    (text("t.csv", "a,b\n1,\n2,3\n"), "column 'b', row 1: a value is missing; fill it in, or drop the row"),
    (text("t.csv", "a,b\n1,inf\n2,3\n"), "column 'b', row 1: is inf; every number must be finite"),
    (text("t.csv", "a,b\n1,2\n\x1b[2J,3\n"), "column 'a' holds text (row 2: '"),
    (text("t.csv", "a;b\n1,5;2\n2,5;3\n"), "column 'a' holds text (row 1: '1,5'; numbers need a decimal point)"),
    (text("t.csv", "a,b\n1,é\n".encode("latin-1")), "line 2: not UTF-8 (byte 0xe9); save it as UTF-8"),
    (text("t.csv", "a,b\n1,2\n".encode("utf-16")), "line 1: not UTF-8 (byte 0xff)"),
    (text("t.csv", b"\x7fELF" + bytes(100)), "line 1: holds a zero byte; it is no text"),
    (text("t.csv", 'a,b\n"1,2\n'), "a quotation mark is opened, and not closed"),
]  # fmt: skip

#: What is wrong with what is asked of a good table.
_ASKED: Final = {
    "task.target=modo": "task.target=modo: no such column; did you mean mood?",
    "task.inputs=[a,c]": "task.inputs=c: no such column",
    "task.sequence=whom": "task.sequence=whom: no such column; did you mean who?",
    "task.time=when": "task.time=when: no such column",
    "task.sequence=who task.time=who": "task.time=who: is task.sequence",
    "task.sequence=who task.inputs=[]": "task.inputs=[]: must name a column or more, or be null",
    "task.sequence=who task.target=b task.inputs=[a,b]": "task.inputs=[a, b]: b is the target in the same row",
    "task.sequence=who task.inputs=[a] task.target=[b,mood]": "mood holds no numbers; several targets must be numbers",
    "task.sequence=who task.target_kind=numbers": "task.target_kind=numbers: mood holds no numbers; use classes",
    "task.sequence=who task.target=b task.inputs=[a] task.target_kind=classes": "not whole; use numbers",
    "task.sequence=who task.row=sequence": "task.row=sequence: then every row is a sequence",
    "task.sequence=who task.window=4": "task.window=4: a window needs 4 rows, the training part has 3",
    "task.sequence=who task.eval_size=0.7 task.test_size=0.5": "task.eval_size=0.7: of 12 nothing is left to train on",
    "task.window=3 task.inputs=[a] task.target=b task.split=random": "task.split=random: windows of one series share",
    "task.window=30 task.inputs=[a] task.target=b": "task.window=30: a window needs 31 rows with its target 1 later",
    "task.inputs=[who] task.target=b": "column 'who' holds text (row 1: 's0')",
    "task.row=sequence task.horizon=1 task.inputs=[a]": "task.horizon=1: has no meaning where a row is a sequence",
}

_PATHS: Final = {
    "null": "task.path=null: the path of a .csv or .parquet file",
    "t.xlsx": "task.path=t.xlsx: must be a .csv file with a header, or a .parquet file",
    "t.npz": "task=arrays reads .npz and .npy files",
    "t.parquet": "task.path=t.parquet: no .parquet file that can be read",
}


TABLES: Final = [
    *(Case(("train", "task=table", "task.path=t.csv"), (f"task.path=t.csv: {says}",), given) for given, says in _FILES),
    *(
        Case(("train", "task=table", "task.path=t.csv", *words.split()), (says,), text("t.csv", _GOOD))
        for words, says in _ASKED.items()
    ),
    *(
        Case(
            ("train", "task=table", f"task.path={path}"),
            (says,),
            all_of(*(text(name, "PAR1") for name in ("t.xlsx", "t.npz", "t.parquet"))),
        )
        for path, says in _PATHS.items()
    ),
]
