"""python -m benchmarks.readme [FILE]: README's figure and table, from a file of results or from the newest."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import FOLDER, write_number

README = Path(__file__).parents[1] / "README.md"
BESIDE = "-beside"  # of a file that has what is done beside training, and no table
_BEGIN, _END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
_HEAD = (
    "| training | runs | bptt, µs | best of the others ÷ bptt | PyTorch ÷ bptt | C++ ÷ bptt | limit |",
    "|---|---:|---:|---:|---:|---:|---:|",
)
_BESIDE = (
    "| beside training | runs | bptt, µs | best of the others ÷ bptt | PyTorch ÷ bptt | C++ ÷ bptt |",
    "|---|---:|---:|---:|---:|---:|",
)
_TITLES = {
    "adder": "adder: T 8, H 16, one addition per update",
    "leftbit": "LEFTBIT: T 7, H 3, one window per update",
    "sine": "sine: T 20, H 32, batches of 32, Adam",
    "wide": "sine: T 50, H 128, batches of 32, Adam",
    "lstm, adder": "LSTM, adder: H 16",
    "lstm, sine": "LSTM, sine: H 32",
    "gru, adder": "GRU, adder: H 16",
    "gru, sine": "GRU, sine: H 32",
}
_NAMES = {"torch": "PyTorch", "jax": "JAX"}
_AIMED_AT = "family 26"  # AMD's Zen 5: what is aimed at in µs is for its cores; ratios are for all
_NOISY = 0.97  # share of the core below which a row is to be measured again


def find_best(result: Mapping[str, Any]) -> str:
    """PyTorch or JAX: the one with the shorter median time. C++ is no other: it trains these shapes and no more."""
    return min((side for side in _NAMES if side in result["micros"]), key=lambda side: result["micros"][side]["median"])


def _aim(target: float | None, reached: float, *, least: bool, judged: bool = True) -> str:
    if target is None:
        return ""
    sign, met = ("≥", reached >= target) if least else ("≤", reached <= target)
    verdict = f" {'✓' if met else '✗'}" if judged else ""
    return f" ({sign} {target:g}{verdict})"


def _write_row(title: str, result: Mapping[str, Any], *, judged: bool) -> str:
    """judged: whether the processor is of the generation that times are aimed at for."""
    targets, ratios, best = result["targets"], result["ratios"], find_best(result)
    ours, share, ahead = result["micros"]["ours"]["median"], result["share"]["median"], ratios[best]["median"]
    limit = None if "limit" not in targets else 100 * targets["limit"]
    cells = (
        title,
        str(result["lanes"]),
        write_number(ours) + _aim(targets.get("micros"), ours, least=False, judged=judged),
        f"{_NAMES[best]}, {write_number(ahead)}" + _aim(targets.get("best"), ahead, least=True),
        write_number(ratios["torch"]["median"]),
        write_number(ratios["cpp"]["median"]) if "cpp" in ratios else "",
        f"{100 * share:.{int(limit is not None)}f} %" + _aim(limit, 100 * share, least=True),
    )
    return "| " + " | ".join(cells) + " |"


def _is_judged(found: Mapping[str, Any]) -> bool:
    return str(found.get("machine", {}).get("generation") or _AIMED_AT).startswith(_AIMED_AT)


def write_table(found: Mapping[str, Any]) -> str:
    """The table, and a line where a row was disturbed; nothing of it is written by hand."""
    lines, before = list(_HEAD), None
    judged = _is_judged(found)
    for result in found["results"]:
        name = result["name"]
        lines.append(_write_row("" if name == before else _TITLES[name], result, judged=judged))
        before = name
    if not judged and any("micros" in row["targets"] for row in found["results"]):
        lines += ["", "µs are aimed at for a newer processor (AMD's Zen 5): what C++ takes says what this one can do."]
    disturbed = sorted({_TITLES[row["name"]] for row in found["results"] if row["core_share"] < _NOISY})
    if any("forms" not in row for row in found["results"]):
        lines += ["", "Without C++, and without JAX's and PyTorch's faster forms: to be measured again."]
    elif found["method"].get("clock") == "processor":
        lines += ["", "Measured in processor time on a machine that others used: to be measured again on a quiet one."]
    elif disturbed:
        lines += ["", f"Disturbed by other programs, and to be measured again: {'; '.join(disturbed)}."]
    return "\n".join(lines) + "\n"


def write_beside(found: Mapping[str, Any]) -> str:
    """The rows of what is done beside training; empty where they were not measured."""
    if "evaluations" not in found:
        return ""
    lines = list(_BESIDE)
    for row in found["evaluations"]:
        best, ours = find_best(row), row["micros"]["ours"]["median"]
        others = f"{_NAMES[best]}, {write_number(row['ratios'][best]['median'])}"
        aim = _aim(row["target"], ours, least=False, judged=_is_judged(found))
        plain = write_number(row["ratios"]["cpp"]["median"]) if "cpp" in row["ratios"] else ""
        cells = write_number(ours) + aim, others, write_number(row["ratios"]["torch"]["median"]), plain
        lines.append(f"| evaluating a sequence: {_name_shortly(row)} | {row['lanes']} | {' | '.join(cells)} |")
    for row in found["records"]:
        ours = write_number(row["micros"]["median"])
        what = f"recording an update, {row['sequences']} sequences evaluated: {_name_shortly(row)}"
        lines.append(f"| {what} | {row['lanes']} | {ours} |  |  |  |")
    return "\n".join(lines) + "\n"


def _name_shortly(row: Mapping[str, Any]) -> str:
    """Without the sizes, which stand in the table above."""
    return _TITLES[row["name"]].partition(":")[0]


def write_block(path: Path, beside: Path | None = None) -> str:
    """The figure, the tables, and where they are from; beside: the file of what is done beside training."""
    found = json.loads(path.read_text(encoding="utf-8"))
    figure = f"![For each workload, how many times bptt's time the others take]({_place(path)[:-5]}.png)"
    parts = [f"{figure}\n", write_table(found), write_beside(found), _write_source(path, found)]
    if beside is not None:
        other = json.loads(beside.read_text(encoding="utf-8"))
        parts[2:] = [parts[3], write_beside(other), _write_source(beside, other)]
    return "\n".join(part for part in parts if part)


def _place(path: Path) -> str:
    return os.path.relpath(path, README.parent).replace(os.sep, "/")


def _write_source(path: Path, found: Mapping[str, Any]) -> str:
    machine, rounds = found["machine"], found["method"]["rounds"]
    generation = f" ({machine['generation']})" if machine.get("generation") else ""
    return f"[Measured]({_place(path)}) on {found['date']}, {rounds} rounds, {machine['processor']}{generation}.\n"


def place_table(page: str, table: str) -> str:
    """The page with the table between its two marks; raises ValueError where one is missing."""
    if page.count(_BEGIN) != 1 or page.count(_END) != 1:
        raise ValueError(f"the page must have {_BEGIN} and {_END} once each")
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}\n\n{table}\n{_END}{rest.partition(_END)[2]}"


def find_newest() -> Path:
    """The newest results of whole tables."""
    others = ("-grid", "-sweeps", "-studies", "-many", BESIDE)
    return max(path for path in FOLDER.glob("*.json") if not path.stem.endswith(others))


def find_beside(path: Path) -> Path | None:
    """The newest results of what is done beside training, where a whole table's file has none; None: there are none."""
    if "evaluations" in json.loads(path.read_text(encoding="utf-8")):
        return None
    return max(FOLDER.glob(f"*{BESIDE}.json"), default=None)


def main(argv: Sequence[str]) -> int:
    path = Path(argv[0]) if argv else find_newest()
    beside = path if path.stem.endswith(BESIDE) else None
    path = find_newest() if beside else path
    block = write_block(path, beside or find_beside(path))
    README.write_text(place_table(README.read_text(encoding="utf-8"), block), encoding="utf-8")
    print(f"{README.name} has the table of {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
