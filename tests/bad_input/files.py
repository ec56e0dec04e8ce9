"""Files of arrays, of weights, of sentences and of text that can't be read, or hold what can't be trained on."""

from typing import Final

import numpy as np

from tests.bad_input.case import Case
from tests.bad_input.making import (
    Given,
    X,
    Y,
    bomb,
    cut,
    folder,
    header,
    members,
    npy,
    npz,
    pickled,
    replaced,
    text,
)

_NAN, _INF = (np.where(np.arange(60).reshape(X.shape) == 17, wrong, X) for wrong in (np.nan, np.inf))
_GOOD = {"x.npy": npy(X), "y.npy": npy(Y)}

_SAYS: Final = "x can't be read (its header says float64 of shape ("

#: What is wrong with f.npz as `task.path`, and the line for it.
_ARRAYS: Final[list[tuple[Given, str]]] = [
    (folder("f.npz"), "is a folder"),
    (text("f.npz", ""), "not an .npz file (numpy.savez writes them)"),
    (text("f.npz", "x"), "not an .npz file"),
    (text("f.npz", npy(X)), "not an .npz file"),
    (text("f.npz", b"PK\x03\x04" + bytes(100)), "not an .npz file"),
    (text("f.npz", b"PK\x05\x06" + bytes(18)), "no array x; there are: none"),
    *((cut(share), "not an .npz file") for share in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)),
    (pickled, "x holds Python objects; only numbers are read"),
    (npz(x=X.astype(object), y=Y), "x holds Python objects"),
    (npz(x=X, y=Y, lengths=np.array([None] * 5)), "lengths holds Python objects"),
    (npz(x=X.astype(complex), y=Y), "x holds complex128; only real numbers are read"),
    (npz(x=X.astype(str), y=Y), "x holds <U32; only real numbers are read"),
    (npz(x=X.astype("M8[s]"), y=Y), "x holds datetime64[s]"),
    (npz(x=np.zeros((5, 4, 3), "f8,i4"), y=Y), "x holds [('f0', '<f8'), ('f1', '<i4')]"),
    (npz(x=X), "no array y; there are: x"),
    (npz(y=Y), "no array x; there are: y"),
    (npz(), "no array x; there are: none"),
    (npz(x=X, y=Y, z=X), "unknown array 'z'; known: x, y, lengths"),
    (npz(x=X, y=Y, length=X), "unknown array 'length'; did you mean 'lengths'?"),
    (npz(x=X, y=Y, eval_y=Y), "eval_y without eval_x"),
    (npz(x=X[0], y=Y), "x has shape (4, 3), not (N, T, inputs)"),
    (npz(x=3.0, y=Y), "x has shape (), not (N, T, inputs)"),
    (npz(x=X, y=Y[0, 0]), "y of shape (2,) doesn't go with x of shape (5, 4, 3): N differs"),
    (npz(x=X, y=Y[:3]), "y of shape (3, 4, 2) doesn't go with x of shape (5, 4, 3): N or T differs"),
    (npz(x=X[:0], y=Y[:0]), "x of shape (0, 4, 3) is empty"),
    (npz(x=X[:, :, :0], y=Y), "x of shape (5, 4, 0) is empty"),
    (npz(x=_NAN, y=Y), "x[1, 1, 2] is nan; every number must be finite"),
    (npz(x=_INF, y=Y), "x[1, 1, 2] is inf; every number must be finite"),
    (npz(x=X, y=Y * np.inf), "y[0, 0, 0] is inf; every number must be finite"),
    (npz(x=np.full(X.shape, np.inf, "f2"), y=Y), "x[0, 0, 0] is inf"),
    (npz(x=X, y=Y, lengths=np.array([4, 5, 4, 4, 4])), "lengths[1] is 5, not between 1 and T = 4"),
    (npz(x=X, y=Y, lengths=np.array([4, 4, 0, 4, 4])), "lengths[2] is 0, not between 1 and T = 4"),
    (npz(x=X, y=Y, lengths=np.array([4, 4, 4, -1, 4])), "lengths[3] is -1, not between 1 and T = 4"),
    (npz(x=X, y=Y, lengths=np.full(5, 2**63, "u8")), "lengths[0] is 9223372036854775808, not between"),
    (npz(x=X, y=Y, lengths=np.full(5, 4.0)), "lengths holds float64, not whole numbers"),
    (npz(x=X, y=Y, lengths=np.full(5, True)), "lengths holds bool, not whole numbers"),
    (npz(x=X, y=Y, lengths=np.full(4, 4)), "lengths has shape (4,), not (5,), one for each sequence"),
    (npz(x=X, y=Y, lengths=np.full((5, 1), 4)), "lengths has shape (5, 1), not (5,)"),
    (npz(x=X, y=Y, eval_x=X[:, :, :2], eval_y=Y), "eval_x of shape (5, 4, 2) doesn't go with x"),
    (npz(x=X, y=Y, eval_x=X, eval_y=Y[:, 0]), "eval_y of shape (5, 2) doesn't go with y"),
    (members(_GOOD | {"x": npy(X)}), "holds 'x' more than once"),
    (members(_GOOD | {"../z.npy": npy(X)}), "unknown array '../z'"),
    (members(_GOOD | {"/etc/passwd": b""}), "/etc/passwd holds no array"),
    (members(_GOOD | {"x.npy": b""}), "x holds no array; only real numbers are read"),
    (members(_GOOD | {"x.npy": b"no array"}), "x holds no array"),
    (members(_GOOD | {"x.npy": npy(X)[:100]}), "x can't be read (EOF"),
    (members(_GOOD | {"x.npy": npy(X)[:-8]}), _SAYS + "5, 4, 3), 480 bytes; it has 472)"),
    (members(_GOOD | {"x.npy": npy(X) + bytes(8)}), _SAYS + "5, 4, 3), 480 bytes; it has 488)"),
    (members(_GOOD | {"x.npy": b"\x93NUMPY\x09\x00" + npy(X)[8:]}), "x can't be read (no version of NumPy's format"),
    (members(_GOOD | {"x.npy": header("(5, 4, 3)", "'O'", bytes(480))}), "x holds Python objects"),
    (members(_GOOD | {"x.npy": header("(5, 4, 3)", "'nope'", bytes(480))}), "x can't be read (descr is not a valid"),
    (members(_GOOD | {"x.npy": header("(-5, -4, 3)", data=bytes(480))}), "x can't be read (its header says a shape"),
    (members(_GOOD | {"x.npy": header("(5, 4, 3.0)", data=bytes(480))}), "x can't be read (shape is not valid"),
    (members(_GOOD | {"x.npy": header("(" * 300)}), "x can't be read ("),
    (members(_GOOD | {"x.npy": header("__import__('os').mkdir('marker')")}), "x can't be read ("),
    (members(_GOOD | {"x.npy": header(f"({2**40}, 4, 3)", data=bytes(480))}), _SAYS),
    (members(_GOOD | {"x.npy": header(f"({2**62}, 4, 3)", data=bytes(480))}), _SAYS),
    (members(_GOOD | {"x.npy": header(f"(0, {2**62}, 3)", data=bytes(480))}), _SAYS + "0, "),
    (bomb, "unpacks to 61,440.0 GiB, 3 times which are needed to read it"),
    (replaced(X.tobytes()[:64], b"!" * 64), "x can't be read (Bad CRC-32 for file 'x.npy')"),
    (replaced(b"\x93NUMPY", b"\x93NUMPX"), "x can't be read (Bad CRC-32 for file 'x.npy')"),
]  # fmt: skip

#: The same for weights, `init.path`.
_WEIGHTS: Final[list[tuple[Given, str]]] = [
    (lambda _: None, "no such file"),
    (folder("f.npz"), "no such file"),
    (text("f.npz", ""), "not an .npz file (numpy.savez writes them)"),
    (text("f.npz", npy(X)), "not an .npz file"),
    *((cut(share), "not an .npz file") for share in (0.1, 0.5, 0.9)),
    (pickled, "x holds Python objects; only numbers are read"),
    (members(_GOOD | {"x": npy(X)}), "holds 'x' more than once"),
    (members({"x.npy": b"no array"}), "x holds no array"),
    (
        members({"x.npy": npy(X)[:-8]}),
        _SAYS + "5, 4, 3), 480 bytes; it has 472)",
    ),
    (members({"x.npy": header("(5, 4, 3)", "'O'", bytes(480))}), "x holds Python objects"),
    (
        members({"x.npy": header(f"({2**62}, 4, 3)", data=bytes(480))}),
        _SAYS,
    ),
    (members({"x.npy": header("(" * 300)}), "x can't be read ("),
    (bomb, "unpacks to 61,440.0 GiB"),
    (replaced(X.tobytes()[:64], b"!" * 64), "x can't be read (Bad CRC-32"),
]

#: What is wrong with a file of sentences, f.txt as `task.path`, and the line for it.
_GOOD_TEXT = "[training]\nhappy: I am glad\nsad: I am not\n[test]\nhappy: glad\n"
_SENTENCES: Final[list[tuple[Given, str]]] = [
    (lambda _: None, "no such file"),
    (folder("f.txt"), "is a folder"),
    (text("f.txt", ""), "the part [training] has no sentence"),
    (text("f.txt", "\n\n# nothing\n"), "the part [training] has no sentence"),
    (text("f.txt", _GOOD_TEXT.encode("utf-16")), "line 1: not UTF-8 (byte 0xff)"),
    (text("f.txt", _GOOD_TEXT.encode("utf-16-le")), "line 1: "),
    (text("f.txt", _GOOD_TEXT.replace("glad", "joyeux à").encode("latin-1")), "line 2: not UTF-8 (byte 0xe0)"),
    (text("f.txt", bytes(range(256))), "line 2: not UTF-8 (byte 0x80)"),
    (text("f.txt", b"\x7fELF" + bytes(100)), "line 1: a sentence stands before the first part"),
    (text("f.txt", "happy: yes\n" + _GOOD_TEXT), "line 1: a sentence stands before the first part"),
    (text("f.txt", "[training]\nhappy: yes\n"), "the part [test] has no sentence"),
    (text("f.txt", "[training]\n[test]\nhappy: yes\n"), "the part [training] has no sentence"),
    (text("f.txt", "[trainig]\nhappy: yes\n"), "line 1: '[trainig]' is no part; did you mean [training]?"),
    (text("f.txt", "[training]\nI am glad\n"), "line 2: 'I am glad' has no label"),
    (text("f.txt", "[training]\nglad: I am\n"), "line 2: the label 'glad' is neither happy nor sad"),
    (text("f.txt", "[training]\nhappy:\n"), "line 2: no word follows 'happy'"),
    (text("f.txt", "[training]\nhappy: !?\n"), "line 2: no word follows 'happy'"),
    (text("f.txt", _GOOD_TEXT + "[training]\nsad: no\n"), "line 6: the part [training] stands twice"),
    (text("f.txt", "\ufeff" + _GOOD_TEXT + "x\n"), "line 6: 'x' has no label"),
]

#: The same for task=charlm.
_TEXTS: Final[list[tuple[Given, str]]] = [
    (lambda _: None, "task.path=f.txt: no such file"),
    (folder("f.txt"), "task.path=f.txt: is a folder"),
    (text("f.txt", ""), "task.path=f.txt: a text of at least two different characters"),
    (text("f.txt", "a" * 500), "task.path=f.txt: a text of at least two different characters"),
    (text("f.txt", "ab"), "task.path=f.txt: too short a text: a part of it (task.held_out=0.1) has only 0 characters"),
    (text("f.txt", "ab" * 50), "task.window=25: below 10"),
    (text("f.txt", ("ab" * 500).encode("utf-16")), "task.path=f.txt: line 1: not UTF-8 (byte 0xff)"),
    (text("f.txt", b"\xe9" * 500), "task.path=f.txt: line 1: not UTF-8 (byte 0xe9)"),
]

_PATHS: Final = {
    "nowhere.npz": "task.path=nowhere.npz: no such file",
    "''": "task.path='': ",
    ".": "task.path=.: is a folder",
    "/dev/null": "task.path=/dev/null: no such file",
    "'~nobody-of-that-name/f.npz'": "no such file (Could not determine home directory.)",
    "x" * 5000: "no such file (File name too long)",
    "null": "task.path=null: the path of an .npz file with the arrays x and y",
    "3": "task.path=3: must be text",
    "[a]": "task.path=[a]: must be text",
}


def _cases(overrides: str, key: str, what: list[tuple[Given, str]]) -> list[Case]:
    return [Case(("train", *overrides.split()), ((f"{key}: " if key else "") + says,), given) for given, says in what]


ARRAYS: Final = [
    *_cases("task=arrays task.path=f.npz", "task.path=f.npz", _ARRAYS),
    *(Case(("train", "task=arrays", f"task.path={path}"), (says,)) for path, says in _PATHS.items()),
]
WEIGHTS: Final = [
    *_cases("init=file init.path=f.npz", "init.path=f.npz", _WEIGHTS),
    Case(("train", "init=file", f"init.path={'x' * 5000}"), ("File name too long",)),
]
TEXTS: Final = [
    *_cases("task=sentiment task.path=f.txt", "task.path=f.txt", _SENTENCES),
    *_cases("task=charlm task.path=f.txt", "", _TEXTS),
]
