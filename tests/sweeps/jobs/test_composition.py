"""The quick composition of a sweep's jobs makes of each what Hydra makes of it alone."""

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from bptt.configuration.build import Configuration, check_configuration
from bptt.configuration.compose import Composer, add_folder, parse_overrides
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.hydra import version_base
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.random import Generator
from bptt.core.sequences import Sequences
from bptt.sweeps.jobs.composition import Composition, Variant
from bptt.tasks.languages.adder import Adder
from tests.combining import combine, list_files


class Counting(Composer):
    """Counts how often Hydra composes."""

    compositions = 0

    def compose(
        self, overrides: Sequence[str], mode: RunMode = RunMode.RUN, given: Iterable[str] | None = None
    ) -> DictConfig:
        self.compositions += 1
        return super().compose(overrides, mode, given)


@pytest.fixture
def composer() -> Iterator[Counting]:
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        yield Counting(GlobalHydra.instance().config_loader(), "config")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Counting, Path]]:
    """A composer that knows a folder of the user's too."""
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        path = GlobalHydra.instance().config_loader().get_search_path()
        add_folder(path, tmp_path)
        yield Counting(ConfigLoaderImpl(path), "config"), tmp_path


def contents(configuration: Configuration) -> tuple[Any, ...]:
    return configuration.resolved, configuration.run, configuration.tracking, configuration.sweep


def by_hydra(composer: Composer, job: Sequence[str]) -> Any:
    try:
        return contents(check_configuration(composer.compose(job)))
    except ConfigurationError as error:
        return error.lines


def quickly(composition: Composition, jobs: Sequence[Sequence[str]]) -> list[Any]:
    try:
        return [contents(configuration) for configuration in composition.all(jobs)]
    except ConfigurationError as error:
        return [error.lines]


@pytest.mark.slow
def test_every_choice(files: dict[tuple[str, str], list[str]], composer: Counting) -> None:
    """Those of sweeps are composed in `tests/test_sweeps_shipped.py`."""
    chosen = combine(list_files(but=("sweep",)), files)
    assert len(chosen) > 20
    for choices in chosen:
        jobs = [[*choices, f"seed={seed}", f"loss.weight={weight}"] for seed in (1, 2) for weight in (0.25, 0.5)]
        before = composer.compositions
        found = Composition(composer).all(jobs)
        assert composer.compositions == before + 2, choices
        assert [configuration.run.seed for configuration in found] == [1, 1, 2, 2]
        assert contents(found[3]) == by_hydra(composer, jobs[3]), choices


FORMS = {
    "plain": [["seed=1", "train.updates=5"], ["seed=2", "train.updates=1e3"], ["seed=2", "train.updates=1_000"]],
    "nested": [["train.early_stop.threshold=1"], ["train.early_stop.threshold=0.5"]],
    "null": [["train.truncation=null"], ["train.truncation=3"], ["train.truncation=null"]],
    "list": [["allow=[]"], ["allow=[bptt]"], ["allow=['a','b']"]],
    "quoted": [["tracking.experiment='two words'"], ['tracking.experiment="it\'s"'], ["tracking.experiment='1'"]],
    "text": [["tracking.uri=sqlite:///x.db"], ["tracking.uri=null"]],
    "boolean": [["train.carry_state=true"], ["train.carry_state=False"]],
    "block": [["init.recurrent=orthogonal"], ["init.recurrent=0.5"], ["init.recurrent=null"]],
    "mapping": [["init.recurrent={name: normal, scale: 0.1}"], ["init.recurrent={name: normal, scale: 0.2}"]],
    "mapping of values": [["train={updates: 3}", "seed=1"], ["train={updates: 4}", "seed=1"]],
    "mapping, then a value in it": [
        [f"init.input={{name: normal, scale: {scale}}}", f"init.input.scale={other}"]
        for scale in (1, 2)
        for other in (3, 4)
    ],
    "a value, then its mapping": [[f"train.updates={updates}", "train={batch_size: 2}"] for updates in (3, 4)],
    "mapping in place of a group": [["optimizer={alpha: 0.5}", "seed=1"], ["optimizer={alpha: 0.25}", "seed=2"]],
    "+": [["+train.early_stop={metric: loss/eval}", "seed=1"], ["+allow=[bptt]", "seed=2"]],
    "++": [["++seed=1"], ["++seed=2"], ["++optimizer.alpha=0.5", "seed=1"], ["++optimizer.alpha=0.5", "seed=2"]],
    "~": [["~allow", "seed=1"], ["~allow", "seed=2"], ["~init.bias"], ["~train.log_points=100"], ["~reuse"]],
    "gate": [["model=lstm", f"init.gate_bias.forget={bias}"] for bias in ("0", "1", "2.5", "null", "-1")],
    "gate, as a mapping": [
        *(["model=lstm", f"init.gate_bias.forget={{name:chrono,t_max:{length}}}"] for length in (10, 100)),
        ["model=lstm", "init.gate_bias={forget: 1, input: 0}"],
        ["model=lstm", "init.gate_bias.forget=2"],
        ["model=lstm"],
    ],
    "gate, then a value in it": [
        ["model=gru", "init.gate_bias.update={name: chrono, t_max: 9}", f"init.gate_bias.update.t_max={length}"]
        for length in (10, 100)
    ],
    "gate like another": [
        ["model=lstm", f"init.gate_bias.forget={bias}", "init.gate_bias.input=${init.gate_bias.forget}"]
        for bias in ("1", "2", "{name: chrono, t_max: 9}")
    ],
    "gates of cells": [["model=lstm", "init.gate_bias.forget=1"], ["model=gru", "init.gate_bias.update=1"], ["seed=1"]],
    "no such gate": [["model=lstm", "init.gate_bias.forgt=1"], ["model=lstm", "seed=1"]],
    "no gates": [[f"model={model}", "init.gate_bias.forget=1"] for model in ("elman", "gru", "lstm")],
    "wrong value of a gate": [["model=lstm", f"init.gate_bias.forget={bias}"] for bias in ("x", "{name: chrono}")],
    "group": [["model=gru", "seed=1"], ["model=lstm", "seed=1"], ["model=gru", "seed=2"]],
    "group, + and ~": [["~clip", "+clip=norm"], ["+init@init.recurrent=orthogonal", "seed=3"]],
    "group@package": [
        ["+init@init.input=normal", f"init.input.scale={scale}", f"seed={seed}"] for scale in (1, 2) for seed in (0, 1)
    ],
    "group and value": [["task=sentiment", "model.readout=softmax"], ["task=sentiment", "model.readout=identity"]],
    "what is interpolated": [["task=counting", f"task.readout={readout}"] for readout in ("identity", "sigmoid")],
    "interpolation": [[f"train.batch_size={size}", "model.hidden_size=${train.batch_size}"] for size in (3, 4)],
    "interpolation in place of another": [["model.readout=${train.early_stop.metric}"], ["model.readout=sigmoid"]],
    "two interpolations": [
        [f"train.updates={updates}", "train.log_points=${train.updates}", "model.hidden_size=${train.log_points}"]
        for updates in (3, 4)
    ],
    "environment": [["tracking.experiment=${oc.env:BPTT_TEST}", f"seed={seed}"] for seed in (1, 2)],
    "experiment": [["experiment=zhu_adder", f"optimizer.alpha={alpha}"] for alpha in (0.1, 0.2)],
    "experiment and groups": [
        [f"experiment={name}", f"optimizer={optimizer}", f"optimizer.alpha={alpha}"]
        for name in ("zhu_adder", "xor")
        for optimizer in ("sgd", "adam")
        for alpha in (0.1, 0.2)
    ],
    "of Hydra": [["hydra.job.name=x", f"seed={seed}"] for seed in (1, 2)],
    "Hydra's node": [["tracking.experiment=${hydra.job.name}", f"seed={seed}"] for seed in (1, 2)],
    "for sweeps": [["on_error=stop", "reuse=false"], ["on_error=continue", "reuse=true"]],
    "missing": [["model.hidden_size=???"]],
    "init.path": [["init=file", "init.path=nowhere"]],
    "unknown key": [["model.hiden_size=3"]],
    "unknown keys": [["seed=1", "model.hiden_size=3", "optimizer.alfa=3"]],
    "unknown choice": [["seed=-1", "model=grue"]],
    "wrong values": [["seed=-1", "optimizer.alpha=x"]],
    "wrong combination": [["model.readout=softmax"]],
    "given twice": [["seed=1", "seed=2"]],
    "several values": [["seed=1,2"]],
    "unreadable": [["seed=[1"]],
    "no such resolver": [["model.readout=${nope:1}"]],
    "no such interpolation": [["model.readout=${nope}"]],
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_override(name: str, composer: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BPTT_TEST", "from the environment")
    expected = [by_hydra(composer, job) for job in FORMS[name]]
    lines = [line for outcome in expected if not isinstance(outcome[0], dict) for line in outcome]
    assert quickly(Composition(composer), FORMS[name]) == ([(*dict.fromkeys(lines),)] if lines else expected)


@pytest.mark.slow
def test_random_jobs(composer: Counting) -> None:
    texts = [
        *("task=adder", "task=counting", "task=sentiment", "model=gru", "model=linear", "init=normal", "clip=norm"),
        *("optimizer=sgd", "loss=squared_error", "experiment=xor", "model.hidden_size=3", "model.hidden_size=0"),
        *("model.readout=identity", "model.readout=${loss._target_}", "init.scale=2", "init.recurrent=identity"),
        *("init.recurrent={name: normal}", "clip.threshold=2", "~clip", "optimizer.alpha=0.5", "++optimizer.alpha=1"),
        *("train.updates=7", "train.updates=9", "train={updates: 8}", "train.early_stop.metric=accuracy/eval"),
        *("seed=1", "seed=2", "seed=3", "+zzz=1", "tracking.enabled=false", "allow=[numpy]", "loss.weight=0.25"),
    ]
    rng, composition = random.Random(0), Composition(composer)
    right = 0
    for _ in range(40):
        job = rng.sample(texts, rng.randint(1, 5))
        (found,) = quickly(composition, [job])
        assert found == by_hydra(composer, job), job
        right += isinstance(found[0], dict)
    assert 5 < right < 35


def test_a_thousand_jobs_are_composed_twice(composer: Counting) -> None:
    jobs = [
        ["optimizer=momentum", f"optimizer.alpha={alpha / 10}", f"optimizer.epsilon={epsilon / 10}", f"seed={seed}"]
        for alpha in range(10) for epsilon in range(10) for seed in range(10)
    ]  # fmt: skip
    composition = Composition(composer)
    found = composition.all(jobs)
    assert composer.compositions == 2
    values = [(*map(vars(one.run.optimizer).get, ("alpha", "epsilon")), one.run.seed) for one in found]
    assert values == [(a / 10, e / 10, seed) for a in range(10) for e in range(10) for seed in range(10)]
    composition.all(jobs[:3])
    assert composer.compositions == 2


def test_a_gate_s_bias_is_swept_like_a_number(composer: Counting) -> None:
    jobs = [["model=lstm", f"init.gate_bias.forget={bias}", f"seed={seed}"] for bias in range(5) for seed in range(4)]
    found = Composition(composer).all(jobs)
    assert composer.compositions == 2
    assert [(one.run.init.gate_bias, one.run.seed) for one in found] == [
        ({"forget": float(bias)}, seed) for bias in range(5) for seed in range(4)
    ]


def test_order_is_kept(composer: Counting) -> None:
    jobs = [[f"seed={seed}", f"model={model}"] for seed in range(3) for model in ("gru", "elman")]
    found = Composition(composer).all(jobs)
    assert [(one.run.seed, type(one.run.model).__name__) for one in found] == [
        (seed, model) for seed in range(3) for model in ("Gru", "Elman")
    ]
    assert Composition(composer).all([]) == []


#: What stands in a user's file → whether the number of updates follows the seed.
SEEDED = {
    "train: {updates: '${seed}'}": True,
    "train: {updates: '${train.log_points}', log_points: '${seed}'}": True,
    "tracking: {experiment: seed}\ntrain: {updates: '${${tracking.experiment}}'}": True,
    "train: {updates: '${oc.select:seed}'}": True,
    "train: {updates: '${train.log_points}'}": False,
}


@pytest.mark.parametrize("text", SEEDED)
def test_what_follows_the_seed_in_a_file(text: str, own: tuple[Counting, Path]) -> None:
    composer, folder = own
    (folder / "experiment").mkdir()
    (folder / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n", encoding="utf-8")
    check_seeds([["experiment=mine"]], composer, [30, 40, 50] if SEEDED[text] else [100] * 3)


def test_what_follows_the_seed_as_it_was_given(composer: Counting) -> None:
    check_seeds([["train.updates=${seed}"]], composer, [30, 40, 50])
    check_seeds([["train.updates=${train.log_points}", "train.log_points=${seed}"]], composer, [30, 40, 50])
    check_seeds([["train.updates=${train.log_points}"]], composer, [100] * 3)


def check_seeds(settings: Sequence[Sequence[str]], composer: Counting, updates: Sequence[int]) -> None:
    """Each job is what Hydra makes of it alone, and has so many updates."""
    jobs = [
        [*given, f"loss.weight={weight}", f"seed={seed}"]
        for given in settings
        for weight in (1, 2)
        for seed in (30, 40, 50)
    ]
    found = Composition(composer).all(jobs)
    assert [contents(one) for one in found] == [by_hydra(composer, job) for job in jobs]
    assert [one.run.train.updates for one in found] == 2 * [*updates]


def test_seeds_of_one_setting_share_all_but_the_seed(composer: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[Override]] = []
    values = Variant.values

    def counted(self: Variant, overrides: Sequence[Override]) -> tuple[dict[str, Any], list[str]]:
        asked.append(overrides)
        return values(self, overrides)

    monkeypatch.setattr(Variant, "values", counted)
    jobs = [[f"optimizer.alpha={alpha}", f"seed={seed}"] for alpha in (1, 2) for seed in range(50)]
    found = Composition(composer).all(jobs)
    assert len(asked) == 2
    assert [(one.run.seed, one.resolved["seed"]) for one in found] == 2 * [(seed, seed) for seed in range(50)]
    assert contents(found[-1]) == by_hydra(composer, jobs[-1])
    lines = quickly(Composition(composer), [[f"seed={seed}"] for seed in (1, -1, 2, -2)])
    assert lines == [("seed=-1: must be a whole number at least 0", "seed=-2: must be a whole number at least 0")]


def test_numbers_are_read_as_hydra_reads_them() -> None:
    texts = ["seed=1", "seed=0", "seed=007", "seed=12", "seed=1_0", "seed=-3", "seed=1e3", "seed=1.0", "seed=0x1"]
    texts += ["+seed=2", "++seed=3", "~seed", "model=gru", "model=3", "model=4", "a.b-c=1", "a.b-c=2", "seed=1,2"]
    texts += ["seed=3", "a@b=1", "a@b=2", "seed=' 4'", "seed=4 ", "seed=" + 30 * "9", "x=true", "x=1", "x=2", "x=null"]
    found, lines = parse_overrides(texts)
    alone = [parse_overrides([text]) for text in texts]
    assert found == [override for parsed, _ in alone for override in parsed]
    assert [type(override.value()) for override in found] == [type(o.value()) for parsed, _ in alone for o in parsed]
    assert lines == [line for _, own in alone for line in own]


def test_what_is_equal_is_the_same_object(composer: Counting) -> None:
    jobs = [[f"optimizer.alpha={alpha}", f"seed={seed}"] for alpha in ("0.1", "1e-1", "0.2") for seed in (1, 2)]
    found = Composition(composer).all(jobs)
    for name in ("task", "model", "init", "loss", "clip", "train"):
        assert len({id(getattr(one.run, name)) for one in found}) == 1
        assert len({id(one.resolved[name]) for one in found}) == 1
    assert len({id(one.run.optimizer) for one in found[:4]}) == 1
    assert found[4].run.optimizer is not found[0].run.optimizer


def test_checks_that_need_data_make_it_once(composer: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = Adder.evaluation

    def counted(self: Adder, rng: Generator) -> Sequences:
        made.append(1)
        return original(self, rng)

    monkeypatch.setattr(Adder, "evaluation", counted)
    stop = ["train.early_stop.metric=accuracy/eval", "train.early_stop.threshold=1"]
    Composition(composer).all(
        [[*stop, f"seed={seed}", f"optimizer.alpha={alpha}"] for seed in (1, 2) for alpha in (1, 2)]
    )
    assert len(made) == 1


def test_hydra_composes_all_where_the_quick_way_errs(composer: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Variant.values

    def wrong(self: Variant, overrides: Sequence[Override]) -> tuple[dict[str, Any], list[str]]:
        values, problems = right(self, overrides)
        return values | {"seed": 9}, problems

    monkeypatch.setattr(Variant, "values", wrong)
    jobs = [[f"seed={seed}"] for seed in (1, 2, 3)]
    assert [one.run.seed for one in Composition(composer).all(jobs)] == [1, 2, 3]
    assert composer.compositions == 2 + len(jobs)


def test_hydra_composes_what_the_quick_way_can_not(composer: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, *arguments: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(Variant, "__init__", fail)
    assert [one.run.seed for one in Composition(composer).all([["seed=1"], ["seed=2"]])] == [1, 2]


def test_everything_that_is_wrong_is_told(composer: Counting) -> None:
    jobs = [
        *([f"seed={seed}", f"model.layers={layers}"] for seed in (0, -1) for layers in (1, 0)),
        *(["model=gur", f"seed={seed}"] for seed in (-2, -3)),
        *(["model=gru", f"optimizer.alfa={alpha}"] for alpha in (1, 2)),
    ]
    with pytest.raises(ConfigurationError) as caught:
        Composition(composer).all(jobs)
    assert [line.partition(":")[0] for line in caught.value.lines] == [
        "model.layers=0", "seed=-1", "model=gur", "seed=-2", "optimizer.alfa=1"
    ]  # fmt: skip


def test_only_so_many_lines_are_told(composer: Counting) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Composition(composer).all([[f"seed={-seed}", "model.layers=0"] for seed in range(1, 50)])
    assert len(caught.value.lines) == 21
    assert caught.value.lines[:2] == (
        "seed=-1: must be a whole number at least 0",
        "model.layers=0: must be a whole number at least 1",
    )
    assert caught.value.lines[-1] == "and 30 more"
    assert composer.compositions == 2


def test_interpolations_of_the_users_own(own: tuple[Counting, Path]) -> None:
    composer, folder = own
    (folder / "experiment").mkdir()
    (folder / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ninit:\n  input: {name: normal, scale: 0.5}\n  bias: ${init.input}\n"
        "optimizer:\n  alpha: ${train.early_stop.threshold}\n",
        encoding="utf-8",
    )
    jobs = [
        ["experiment=mine", f"init.input.scale={scale}", f"train.early_stop.threshold={threshold}", f"seed={seed}"]
        for scale in (1, 2)
        for threshold in (3, 4)
        for seed in (1, 2)
    ]
    found = Composition(composer).all(jobs)
    assert composer.compositions == 2
    assert [contents(one) for one in found[::5]] == [by_hydra(composer, job) for job in jobs[::5]]
    assert [vars(one.run.init.blocks["bias"])["scale"] for one in found] == [1.0] * 4 + [2.0] * 4
    assert [vars(one.run.optimizer)["alpha"] for one in found] == [3.0, 3.0, 4.0, 4.0] * 2


def test_choices_on_hydra_s_search_path(composer: Counting, tmp_path: Path) -> None:
    (tmp_path / "init").mkdir()
    (tmp_path / "init" / "mine.yaml").write_text("_target_: bptt.core.inits.normal.Normal\nscale: 0.125\n", "utf-8")
    sweep = composer.compose([f"hydra.searchpath=[file://{tmp_path}]"])
    composer.compositions = 0
    jobs = [["init=mine", "init.recurrent=mine", f"seed={seed}"] for seed in (1, 2)]
    found = Composition(composer, sweep).all(jobs)
    assert [one.run.seed for one in found] == [1, 2]
    assert vars(found[0].run.init.blocks["recurrent"])["scale"] == 0.125
    assert composer.compositions == 3


def test_one_time_for_the_whole_sweep(composer: Counting) -> None:
    shared = "tracking.experiment=it-${now:%f-%S}"
    sweep = composer.compose([shared], RunMode.MULTIRUN)
    jobs = [[shared, f"model={model}", f"seed={seed}"] for model in ("gru", "lstm") for seed in (1, 2)]
    composer.compositions = 0
    found = Composition(composer, sweep).all(jobs)
    assert {one.tracking.experiment for one in found} == {sweep.tracking.experiment}
    assert composer.compositions == 4
