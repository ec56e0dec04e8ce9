"""The index of the results says what the tables say, and refuses to say what they don't; no sweep is trained here."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bptt.analysis.tables import read_values
from bptt.configuration.compose import Composer
from bptt.configuration.hydra import version_base
from bptt.configuration.vocabulary import find_conf_folder
from bptt.sweeps.jobs.grammar import expand, find_differing
from docs.make_results import changes, index, remedies, training
from docs.make_results.__main__ import main
from docs.make_results.shipping import FIGURES
from docs.make_results.tables import Share, Tables, UnsupportedError
from docs.make_results.titles import TITLES
from docs.make_results.variants import VARIANTS
from docs.make_results.wording import compare, find_direction, sum_up

pytestmark = pytest.mark.slow

#: key → value of a setting; how many of so many runs solve their task.
Solves = Callable[[dict[str, object], int], int]
_RESULTS = Path(__file__).parents[2] / "docs" / "results"


@cache
def composed(name: str) -> tuple[DictConfig, list[dict[str, str]]]:
    """A shipped sweep: its configuration, and what tells each of its runs from the others."""
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        config = Composer(GlobalHydra.instance().config_loader(), "config").compose([f"sweep={name}"], RunMode.MULTIRUN)
    sweeper = OmegaConf.to_container(config.hydra.sweeper)
    assert isinstance(sweeper, dict)
    if "trials" in sweeper:
        return config, [{"optimizer.alpha": "0.1", "seed": "0"}]
    return config, find_differing(expand({str(key): value for key, value in sweeper.items()}, [f"sweep={name}"]))


def report(folder: Path, name: str, solves: Solves) -> None:
    """The tables that a sweep's report would have, if its runs came out so."""
    config, jobs = composed(name)
    keys = [key for key in dict.fromkeys(key for job in jobs for key in job) if key != "seed"]
    runs = pd.DataFrame({key: read_values([job.get(key) for job in jobs]) for key in keys}).assign(updates=1000)
    settings = runs.groupby(keys, dropna=False, sort=False).size().rename("runs").reset_index()
    counts = [solves(row, row["runs"]) for row in settings.to_dict("records")]
    settings = settings.assign(ended=settings["runs"], solved=counts, held=counts, confirmed=counts, loss_median=1.0)
    settings = settings.assign(diverged=0, failed=0, unfinished=0)
    place = runs.groupby(keys, dropna=False, sort=False).cumcount()
    solved = place < runs.merge(settings, on=keys, how="left")["solved"]
    runs["solved_update"] = np.where(solved, 500.0, np.nan)
    runs = runs.assign(seed=place, status="FINISHED", outcome="completed", name="").loc[
        :, ["name", *keys, "seed", "status", "outcome", "updates", "solved_update"]
    ]
    runs["solved_after"] = runs["solved_update"] - 10
    (folder / name / "tables").mkdir(parents=True)
    settings.to_csv(folder / name / "tables" / "results.csv", index=False)
    runs.to_csv(folder / name / "tables" / "runs.csv", index=False)
    setup = {
        part: " ".join(f"{key}={value}" for key, value in config[part].items()) for part in ("task", "model", "train")
    }
    setup["train"] += f" early_stop.threshold={config.train.early_stop.threshold}"
    setup["optimizer"] = f"alpha={config.optimizer.get('alpha')}"
    if config.tune is not None:
        tried = pd.DataFrame({"setting": "one", "optimizer.alpha": [*config.tune["optimizer.alpha"]], "runs": 3})
        first = tried.index == 0
        tried.assign(chosen=first, edge=["alpha, the smallest tried", *[None] * (len(first) - 1)]).to_csv(
            folder / name / "tables" / "tuning.csv", index=False
        )
    setup["clip"] = f"threshold={config.clip.get('threshold')}"
    pd.DataFrame({"part": setup.keys(), "values": setup.values()}).to_csv(
        folder / name / "tables" / "setup.csv", index=False
    )
    _report_measures(folder / name / "tables", name)
    text = "\n".join(f"![What one sees.](figures/{figure}.png)" for figure in FIGURES[name])
    (folder / name / "report.md").write_text(text, encoding="utf-8")


def _report_measures(folder: Path, name: str) -> None:
    """The tables of what was measured, of the sweeps in which something is."""
    ends = {"area_low": [0.8, 0.4], "area_high": [0.95, 0.6], "within": [0.6, np.nan], "within_low": [0.52, np.nan]}
    if name == "predict_from_start":
        pd.DataFrame(
            {
                "predictor": ["largest Lyapunov exponent", "regularizer Ω"],
                "symbol": ["λ₁", "|Ω|"],
                "outcome": ["larger", "unsettled"],
                "area": [0.9, 0.5],
                **ends,
                "within_high": [0.7, np.nan],
                "sentence": ["The exponent foretells it.", "Of Ω it is not settled."],
            }
        ).to_csv(folder / "start.csv", index=False)
    if name == "edge_of_stability":
        stability = pd.DataFrame({"condition": ["task=a", "task=a", "task=b"], "setting": ["x", "y", "x"], "runs": 50})
        stability.assign(reached=50, at_edge=[40, 42, 3], diverged=0, rest=1.0, rest_low=0.9, rest_high=1.1).to_csv(
            folder / "stability.csv", index=False
        )


def made(folder: Path, solves: Solves) -> dict[str, Tables]:
    for name in training.list_shipped():
        report(folder, name, solves)
    return {name: Tables(folder / name) for name in training.list_shipped()}


def most(setting: dict[str, object], runs: int) -> int:
    """Large networks learn, and so do clipped ones, over short lengths."""
    if "model.hidden_size" in setting:
        return runs if float(str(setting["model.hidden_size"])) > 2 else runs // 4
    if "task.length" in setting:
        return runs if setting.get("clip", "norm") == "norm" and float(str(setting["task.length"])) < 25 else 0
    return runs // 2


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tables]:
    return made(tmp_path_factory.mktemp("results"), most)


@pytest.fixture(scope="module")
def text(every: dict[str, Tables]) -> str:
    return index.write_page(every)


def test_every_shipped_sweep_has_a_place_in_the_index(text: str) -> None:
    for name in training.list_shipped():
        assert f"[{TITLES[name]}]({name}/report.md), `{name}`" in text


def test_numbers_are_those_of_the_tables(every: dict[str, Tables], text: str) -> None:
    assert "25 of 100 (17 to 35 %) networks with 2 units" in " ".join(text.split())  # Clopper and Pearson's
    assert "of those with 3 units 100 of 100 (96 to 100 %)" in " ".join(text.split())
    assert compare(Share(25, 100), Share(100, 100)) in " ".join(text.split())
    runs = sum(int(tables.settings["runs"].sum()) for tables in every.values())
    listed = [int(row.split("|")[3].replace(",", "")) for row in text[text.index("## All reports") :].splitlines()[4:]]
    assert sum(listed) == runs


def test_every_section_has_a_question_an_answer_a_figure_and_a_report_in_this_order(text: str) -> None:
    sections = text[: text.index("## What earlier")].split("### ")[1:]
    assert len(sections) == 18
    for section in sections:
        title, question, answer, *rest = section.split("\n\n")
        assert question.startswith("**Question.** ")
        assert answer.startswith("**Answer. ")
        assert answer.endswith(".**")
        figure = rest.pop(0) if not title.startswith("Beside ") else "![]"  # those stand beside another section's
        assert figure.startswith("![")
        assert re.fullmatch(r"\[report\]\(\w+/report\.md\)", rest[0])


def test_an_answer_sums_comparisons_up() -> None:
    clear = [(name, Share(count, 100) - Share(50, 100)) for name, count in (("a", 90), ("b", 95), ("c", 5))]
    assert sum_up("it is solved", clear) == (
        "It is solved more often with a and b than without and less often with c than without."
    )
    open_ = [("d", Share(5, 10) - Share(4, 10)), ("e", Share(10, 10) - Share(10, 10))]
    assert sum_up("it is solved", open_, "than unclipped", "clipped to") == (
        "Whether it is solved more often or less often clipped to d is not settled; clipped to e nothing can be told,"
        " as either all runs do or none does."
    )
    same = [("f", Share(5000, 10000) - Share(5001, 10000))]
    assert sum_up("it is solved", same) == "It is solved about as often with f as without."


def test_no_number_is_left_out_of_a_table(text: str) -> None:
    assert "nan" not in text
    assert not re.search(r"\|  \|\n", text)


def test_a_sentence_turns_with_the_numbers(tmp_path: Path, text: str) -> None:
    def other(setting: dict[str, object], runs: int) -> int:
        return runs - most(setting, runs)

    turned = " ".join(index.write_page(made(tmp_path, other)).split())
    assert "**Answer. The claim holds: 2 hidden units" in text
    assert "The claim does not hold: 2 hidden units learn it more often than 3." in turned
    assert "Clipping helps, with learning rates from 0.03 to 0.3." in text
    assert "Clipping hurts, with learning rates from 0.03 to 0.3." in turned


def test_what_was_measured_is_told_as_its_tables_say(text: str) -> None:
    told = " ".join(text.split())
    assert "**Answer. The exponent foretells it.**" in told
    assert "Of Ω it is not settled. Among runs of one start" in told
    assert "those are solved rather whose largest Lyapunov exponent is larger; of the other quantities" in told
    assert "| largest Lyapunov exponent, λ₁ | 90 % (80 to 95) | 60 % (52 to 70) |" in text
    assert r"| regularizer Ω, \|Ω\| | 50 % (40 to 60) | – |" in text
    assert "over the last quarter of training it is that of 82 of 100 (73 to 89 %) runs on a and 3 of" in told
    assert "**Answer. Most runs stay at that edge on a; fewer than half of the runs stay at that edge on b.**" in told
    assert "| a, x | 50/50 | 40/50 | 0/50 | 1 (0.9 to 1.1) |" in text


def test_every_setting_of_the_lengths_is_some_variant(every: dict[str, Tables]) -> None:
    for name, variants in VARIANTS.items():
        tables = every[name]
        rows = [index for variant in variants for index in tables.rows(tables.settings, variant.where).index]
        assert sorted(rows) == list(tables.settings.index)


def test_every_setting_of_the_remedies_is_told_of(every: dict[str, Tables]) -> None:
    for name, plain, told in (
        ("remedies", remedies.PLAIN, remedies.REMEDIES),
        ("single_changes", changes.BASE, changes.CHANGES),
    ):
        tables = every[name]
        rows = [index for where in told.values() for index in tables.rows(tables.settings, {**plain, **where}).index]
        assert sorted(rows) == list(tables.settings.index)


def test_how_far_remedies_carry_is_what_the_tables_say(tmp_path: Path) -> None:
    def solves(setting: dict[str, object], runs: int) -> int:
        if setting.get("optimizer") == "hessian_free":
            return runs
        return runs - 3 if setting.get("clip") == "norm" and setting.get("task.length") == 10 else 0

    made(tmp_path, solves)
    told = " ".join(
        "".join(remedies.write_remedies({n: Tables(tmp_path / n) for n in training.list_shipped()})).split()
    )
    assert "solve temporal order over up to 50 timesteps with Hessian-free; 10 timesteps with clipping," in told
    assert "none of the lengths with none, Ω, momentum," in told
    assert "| clipping | 7/10 | 0/10 | 0/10 | 7/10 | 0/10 | 0/10 |" in told
    assert "| Hessian-free | temporal order, 50 | 490–500 | 490–500 |" in told
    assert "| Hessian-free | none | more often, by 100 percentage points" in told
    assert (
        "**Answer. More than half of the runs solve temporal order over up to 50 timesteps with Hessian-free and"
        in told
    )


def test_the_figures_show_the_tables(every: dict[str, Tables]) -> None:
    from docs.make_results.figures import draw_figure, draw_success_by_length

    figure = draw_success_by_length(every["length_adding"])
    shown = {bars.get_label(): list(bars[0].get_ydata()) for bars in figure.axes[0].containers}  # the line of each
    assert shown == {"no clipping": [0, 0, 0], "clipped": [100, 0, 0]}

    remedies_, changes_ = (draw_figure(every[name]) for name in ("remedies", "single_changes"))
    tables = every["remedies"]
    cell = tables.confirmed(**{**remedies.PLAIN, "clip": "norm", "task": "adding", "task__length": 10})
    shown_cells = remedies_.axes[1].images[0].get_array()
    assert shown_cells is not None
    assert shown_cells[1, 0] == 100 * cell.interval.value == 100
    points = changes_.axes[0].containers[0][0].get_xdata()
    shares = changes.find_shares(every["single_changes"]).values()
    assert list(points) == [100 * share.interval.value for share in shares]


def test_what_the_tables_lack_is_refused(every: dict[str, Tables], tmp_path: Path) -> None:
    tables = every["leftbit_hidden_size"]
    with pytest.raises(UnsupportedError, match=r"leftbit_hidden_size: no setting with .*5"):
        tables.held(model__hidden_size=5)
    with pytest.raises(UnsupportedError, match=r"model\.layers was not swept"):
        tables.held(model__layers=1)
    with pytest.raises(UnsupportedError, match="is not there"):
        Tables(tmp_path / "eta").held()


def share_of(did: Sequence[bool], **swept: Any) -> Share:
    runs = pd.DataFrame({"seed": range(len(did)), **swept, "did": did})
    return Share(sum(did), len(did), runs)


def test_shares_are_compared_as_sure_as_they_are() -> None:
    assert compare(Share(50, 100), Share(20, 100)).startswith("more often, by 30 percentage points (1")
    assert compare(Share(20, 100), Share(50, 100)).startswith("less often, by 30 percentage points (1")
    text = compare(Share(5, 10), Share(4, 10))
    assert text.startswith("as often as these runs can tell, which does not settle it (a difference of +10 percentage")
    assert compare(Share(10, 10), Share(10, 10)) == "as often as these runs can tell, of which either all or none do"
    assert compare(share_of([True] * 4), share_of([True] * 3 + [False])).startswith("as often as these runs can tell")


def test_runs_with_equal_seeds_are_pairs_where_it_is_known_which_they_are() -> None:
    clipped = share_of([True] * 10 + [False] * 40, clip="norm", **{"task.length": [5] * 25 + [20] * 25})
    none = share_of([True] * 2 + [False] * 48, clip="none", **{"task.length": [5] * 25 + [20] * 25})
    found = clipped - none
    # Over 20 no run does it, which says nothing; over 5 eight pairs differ, all of them in favour of clipping.
    assert (found.paired, found.runs, found.silent) == (True, (25, 25), (("length=20", "none"),))
    assert found.p == pytest.approx(2 * 0.5**8)
    assert compare(clipped, none).startswith("more often, by 32 percentage points (")
    assert compare(clipped, none).endswith("; left out, as either all or none of them do: length=20)")


def test_settings_of_one_key_alone_are_what_a_share_is_compared_in() -> None:
    one = share_of([True, True, False], model="gru", **{"init.scale": 0.5})
    other = share_of([False, True, False], model="lstm", **{"init.scale": 0.1})
    assert (one - other).runs == (3, 3)
    assert (one + other).of == 6


def test_a_sweep_is_trained_once_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    class Ended:
        def __init__(self, folder: Path) -> None:
            self.journal = self
            self.status = statuses.pop(0)

        open = classmethod(lambda cls, folder: cls(folder))

    monkeypatch.setattr(training, "_run_bptt", lambda *words: commands.append(words))
    monkeypatch.setattr(training, "SweepFolder", Ended)
    monkeypatch.setattr(training, "is_sweep", Path.is_dir)
    folder = tmp_path / f"eta-{training.compute_fingerprint('eta')}"

    statuses = ["FINISHED"]
    assert training.train("eta", tmp_path) == folder
    folder.mkdir()
    statuses = ["KILLED", "FINISHED", "FINISHED", "FINISHED"]
    training.train("eta", tmp_path)  # goes on
    training.train("eta", tmp_path)  # has nothing to do
    assert commands == [("train", "sweep=eta", f"hydra.sweep.dir={folder}"), ("resume", str(folder))]
    statuses = ["FINISHED", "FAILED"]
    with pytest.raises(training.TrainingError, match="FAILED"):
        training.train("eta", tmp_path)


def test_what_a_report_needs_is_measured_by_the_sweep_itself() -> None:
    asked = {name: composed(name)[0].measure for name in training.list_shipped()}
    assert {name: dict(measured) for name, measured in asked.items() if measured is not None} == {
        "edge_of_stability": {"sharpness": "all"},
        "predict_from_start": {"lyapunov": "first"},
    }


def test_another_sweep_has_another_fingerprint() -> None:
    found = {name: training.compute_fingerprint(name) for name in ("eta", "leftbit_momentum", "optuna_adder")}
    assert len(set(found.values())) == 3
    assert found == {name: training.compute_fingerprint(name) for name in found}


def test_only_what_is_shipped_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["lenght_adding"])
    assert refused.value.code == 2
    assert "length_adding" in capsys.readouterr().err


@pytest.mark.skipif(not (_RESULTS / index.NAME).exists(), reason="`make results` was not run")
def test_the_index_that_is_there_says_what_its_tables_say() -> None:
    every = {name: Tables(_RESULTS / name) for name in training.list_shipped()}
    assert (_RESULTS / index.NAME).read_text(encoding="utf-8") == index.write_page(every)


def test_the_readme_s_first_figure_says_what_its_table_says() -> None:
    readme = (_RESULTS.parents[1] / "README.md").read_text(encoding="utf-8")
    tables = Tables(_RESULTS / "leftbit_hidden_size")
    one, two, three = (tables.solved(model__hidden_size=size) for size in (1, 2, 3))
    assert "from 1 to 8, each with its interval: none with 1, and with 2 fewer than with 3]" in readme
    assert tables.levels("model.hidden_size") == [1, 2, 3, 4, 6, 8]
    assert (one.count, one.of, find_direction(two, three)) == (0, 100, -1)
