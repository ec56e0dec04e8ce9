"""bptt beside the usual way, second by second: tables from what was measured last."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.readme import find_newest

MARK: Final = "<!-- speed -->"
_FOLDER: Final = Path(__file__).parents[2] / "benchmarks" / "results"
_USUAL: Final = "the usual way"
_LEAST: Final = 0.1  # ms of a run, below which a phase is left out
_UPDATES: Final = {
    "adder": "binary addition, 16 units, a sequence at a time",
    "leftbit": "LEFTBIT, 3 units, a window at a time",
    "sine": "sine, 32 units, batches of 32, Adam",
    "wide": "sine, 128 units, batches of 32, Adam",
    "lstm, adder": "binary addition, an LSTM of 16 units",
    "lstm, sine": "sine, an LSTM of 32 units",
    "gru, adder": "binary addition, a GRU of 16 units",
    "gru, sine": "sine, a GRU of 32 units",
}


def write_speed(_: Path) -> str:
    """Whole sweeps by what their time goes to, updates, and what a search's bookkeeping takes, in Markdown."""
    return "\n\n".join((_write_sweeps(), _write_updates(), _write_studies()))


def _read_newest(kind: str, key: str) -> dict[str, Any]:
    """The newest results of a kind, that have something of this key."""
    for path in sorted(_FOLDER.glob(f"*{kind}.json"), reverse=True):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found.get(key):
            return found
    raise FileNotFoundError(f"{_FOLDER}: no results *{kind}.json with {key}")


def _write_sweeps() -> str:
    found = _read_newest("-sweeps", "phases")
    (usual,) = (side for side in found["phases"] if side["side"] == _USUAL)
    (ours,) = (side for side in found["phases"] if side["side"] != _USUAL)
    rows = [
        [phase["holds"], _write_ms(phase["ms_per_run"]), _write_ms(ours["phases"][name]["ms_per_run"])]
        for name, phase in usual["phases"].items()
        if max(phase["ms_per_run"], ours["phases"][name]["ms_per_run"]) >= _LEAST
    ]
    runs = usual["runs"]
    rows.append(["**all**", *(f"**{_write_ms(1000 * side['seconds'] / runs)}**" for side in (usual, ours))])
    (ratio,) = (one["values"] for one in found["findings"] if one["measure"] == "usual" and one["unit"] == "×")
    machine, method = found["machine"], found["method"]
    table = _tabulate(["of a run, ms", "Hydra, PyTorch and MLflow by hand", "bptt"], rows)
    return f"""**A whole sweep.** {runs:,} runs of binary addition, {method["updates"]:,} updates each, from the command
to the last run in MLflow, on the {machine["cores"]} cores of an {machine["processor"]}, {found["date"]}. The usual way
trains one after the other, as Hydra's launcher does by default, and was measured on {method["sample"]} runs. bptt's
milliseconds are those of the whole sweep, divided by its runs: under training stands what all cores took side by side,
under MLflow what was not done while they trained.

{table}

Round by round the usual way takes {_write_spread(ratio)} times as long. As many processes as there are cores would
divide that by their number at best."""


def _write_updates() -> str:
    found = json.loads(find_newest().read_text(encoding="utf-8"))
    rows, before = [], None
    for one in found["results"]:
        name = one["name"]
        ratios = [_write_ratio(one["ratios"], side) for side in ("torch", "jax")]
        rows.append(["" if name == before else _UPDATES.get(name, name), str(one["lanes"]), *ratios])
        before = name
    table = _tabulate(["training", "runs", "PyTorch ÷ bptt", "JAX ÷ bptt"], rows)
    return f"""**Updates.** How many times bptt's time an update takes in the fastest of several forms of each, in
float64 on one core, compile time left out, {found["date"]}. Runs side by side are `vmap` in JAX and `baddbmm` in
PyTorch.

{table}"""


def _write_studies() -> str:
    found = _read_newest("-studies", "studies")
    rows = [[one["sampler"], one["stored"], _write_spread(one["milliseconds"])] for one in found["studies"]]
    table = _tabulate(["sampler", "stored in", "ms of a processor"], rows, texts=2)
    machine, method = found["machine"], found["method"]
    return f"""**A search.** What Optuna {machine["optuna"]} takes for a trial beside its training, in studies of
{method["trials"]:,} trials of three parameters, {found["date"]}. What else a trial costs is its training, which is
above. W&B's controller is a service, and was not measured.

{table}"""


def _write_ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _write_spread(spread: Mapping[str, float]) -> str:
    digits = 0 if spread["median"] >= 10 else 2
    return f"{spread['median']:.{digits}f} ({spread['lowest']:.{digits}f}–{spread['highest']:.{digits}f})"


def _write_ratio(ratios: Mapping[str, Mapping[str, float]], side: str) -> str:
    return f"{ratios[side]['median']:.3g}" if side in ratios else "–"


def _tabulate(headings: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    align = [*["---"] * texts, *["---:"] * (len(headings) - texts)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, align, *rows))
