"""What an experiment or a sweep says of a choice falls away where another choice stands in its place."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from bptt.configuration.build import check_configuration, resolve_config
from bptt.configuration.compose import Composer, add_folder
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.hydra import version_base
from bptt.configuration.vocabulary import find_conf_folder, list_choices

GROUPS = ("model", "optimizer", "init", "task", "loss", "clip", "schedule", "regularizer")
NAMES = {group: list(list_choices(group, [find_conf_folder()])) for group in (*GROUPS, "experiment")}
EXPERIMENTS = NAMES["experiment"]


@pytest.fixture
def composer(tmp_path: Path) -> Iterator[Composer]:
    """A composer that knows the folder `tmp_path` too."""
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        loader = GlobalHydra.instance().config_loader()
        add_folder(loader.get_search_path(), tmp_path)
        yield Composer(loader, "config")


def resolve(composer: Composer, *overrides: str) -> dict[str, Any]:
    """The values that a run would have, before they are checked."""
    problems: list[str] = []
    found = resolve_config(composer.compose(overrides), problems)
    assert problems == []
    return found


def vary(composer: Composer, *overrides: str) -> dict[str, Any]:
    """What a sweep's settings are, without what is empty."""
    node = OmegaConf.to_container(composer.compose(overrides, RunMode.MULTIRUN).hydra.sweeper)
    assert isinstance(node, dict)
    return {str(name): value for name, value in node.items() if value not in ([], {}, None) and name != "_target_"}


def test_a_file_is_parsed_again_where_it_has_changed_and_nobody_changes_what_others_get(
    composer: Composer, tmp_path: Path
) -> None:
    file = tmp_path / "optimizer" / "mine.yaml"
    file.parent.mkdir()
    for alpha in (0.5, 0.7):  # files of the same size
        file.write_text(f"_target_: bptt.core.optimizers.sgd.Sgd\nalpha: {alpha}\n", encoding="utf-8")
        assert resolve(composer, "optimizer=mine")["optimizer"]["alpha"] == alpha
        found = [composer.loader.repository.load_config("optimizer/mine") for _ in range(2)]
        assert found[0] is not None
        assert found[1] is not None
        found[0].config["alpha"] = 0.9
        assert found[1].config["alpha"] == alpha
        assert resolve(composer, "optimizer=mine")["optimizer"]["alpha"] == alpha
    file.unlink()
    with pytest.raises(ConfigurationError, match="optimizer=mine: no such choice"):
        composer.compose(["optimizer=mine"])
    assert resolve(composer, "optimizer=sgd")["optimizer"]["alpha"] == 0.1


def test_another_model_has_none_of_the_experiment_s_values_and_a_line_says_so(composer: Composer) -> None:
    alone = resolve(composer, "model=lstm", "task=adder")["model"]
    found = resolve(composer, "experiment=zhu_adder", "model=lstm")
    assert found["model"] == alone
    assert found["optimizer"].items() >= {"_target_": "bptt.core.optimizers.sgd.Sgd", "alpha": 0.1}.items()
    assert check_configuration(found).run.model.hidden_size == 16
    assert (found["init"]["scale"], found["loss"]["weight"], found["task"]["eval_size"]) == (1.0, 0.5, None)
    assert composer.take_told() == [
        "experiment=zhu_adder: model.hidden_size=16, model.activation=sigmoid, model.bias=none, model.readout=sigmoid"
        " are for model=elman, and fall away with model=lstm"
    ]
    assert composer.take_told() == []


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["experiment=zhu_adder"], []),
        (["experiment=zhu_adder", "model=elman"], []),
        (
            ["experiment=outlace_leftbit", "optimizer=adam", "model.activation=relu"],
            [
                "optimizer.alpha=0.1, optimizer.epsilon=0.3 are for optimizer=momentum, and fall away with"
                " optimizer=adam"
            ],
        ),
        (
            ["experiment=outlace_leftbit", "optimizer=adam", "optimizer.alpha=0.2"],
            ["optimizer.epsilon=0.3 is for optimizer=momentum, and falls away with optimizer=adam"],
        ),
        (
            ["experiment=roelants_counting", "init=glorot"],
            ["init.input=-1.5, init.recurrent=2 are for init=constant, and fall away with init=glorot"],
        ),
        (
            ["experiment=zhu_adder", "task=xor"],
            [
                "loss.weight=0.5, model.readout=sigmoid, task.eval_size=null, loss=squared_error are for task=adder,"
                " and fall away with task=xor"
            ],
        ),
        (
            ["experiment=outlace_leftbit", "loss=squared_error"],
            [
                "loss.weight=0.07692307692307693 is for loss=binary_cross_entropy, and falls away with"
                " loss=squared_error"
            ],
        ),
        (["experiment=adding", "clip=value"], ["clip.threshold=1.0 is for clip=norm, and falls away with clip=value"]),
    ],
)
def test_one_line_for_each_choice(composer: Composer, overrides: list[str], told: list[str]) -> None:
    resolve(composer, *overrides)
    (experiment, *_) = overrides
    lines = composer.take_told()
    parts = [{*line.removeprefix(f"{experiment}: ").replace(" and", ",").split(", ")} for line in lines]
    assert parts == [{*line.replace(" and", ",").split(", ")} for line in told], lines


def test_a_task_brings_its_loss_and_its_read_out(composer: Composer) -> None:
    for experiment, task in (("hull_sentiment", "adder"), ("zhu_adder", "sentiment"), ("roelants_counting", "xor")):
        found = resolve(composer, f"experiment={experiment}", f"task={task}")
        alone = resolve(composer, f"task={task}")
        assert (found["loss"], found["model"]["readout"]) == (alone["loss"], alone["model"]["readout"])
    found = resolve(composer, "experiment=hull_sentiment", "task=adder", "loss=squared_error", "model.readout=identity")
    assert (found["loss"]["_target_"].split(".")[-2], found["model"]["readout"]) == ("squared_error", "identity")


def test_what_is_typed_is_refused_still(composer: Composer) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(composer.compose(["experiment=zhu_adder", "model=lstm", "model.activation=relu"]))
    assert [line.partition(" (")[0] for line in caught.value.lines] == [
        "model.activation=relu: unknown key; model=elman, jordan or leaky has it"
    ]
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(composer.compose(["experiment=adding", "~clip"]))
    assert caught.value.lines == ("clip: missing; choose one: clip=…",)
    assert composer.take_told()[-1].endswith(": clip.threshold=1.0 is for clip=norm, and falls away with ~clip")


def put(folder: Path, name: str, text: str) -> None:
    path = folder / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# @package _global_\n{text}", encoding="utf-8")


def test_a_sweep_of_the_users_own_that_takes_another_model_than_its_experiment(
    composer: Composer, tmp_path: Path
) -> None:
    put(tmp_path, "sweep/mine", "defaults:\n  - override /experiment: zhu_adder\n  - override /model: lstm\n")
    assert resolve(composer, "sweep=mine")["model"] == resolve(composer, "model=lstm")["model"]
    (line,) = composer.take_told()
    assert line.startswith("experiment=zhu_adder: model.hidden_size=16, ")


def test_what_a_file_sets_for_whatever_choice_stays(composer: Composer, tmp_path: Path) -> None:
    put(tmp_path, "experiment/mine", "model: {hidden_size: 3}\n")
    assert resolve(composer, "experiment=mine", "model=lstm")["model"]["hidden_size"] == 3
    assert composer.take_told() == []


def test_what_a_sweep_sets_stays_for_the_choices_that_it_sweeps(composer: Composer) -> None:
    job = composer.compose(["sweep=length_temporal_order", "model=lstm", "init=glorot"], given=())
    assert (job.model.hidden_size, job.init.bias) == (20, 0)
    assert composer.take_told() == []
    assert composer.compose(["sweep=length_temporal_order", "model=jordan"], given=()).model.hidden_size == 16
    assert composer.take_told() == [
        "sweep=length_temporal_order: model.hidden_size=20 is for model=elman, and falls away with model=jordan"
    ]


def test_an_experiment_that_builds_on_another_one(composer: Composer, tmp_path: Path) -> None:
    put(tmp_path, "experiment/mine", "defaults: [zhu_adder, override /optimizer: adam, _self_]\nseed: 3\n")
    found = resolve(composer, "experiment=mine", "model=gru")
    assert (found["seed"], found["optimizer"]["alpha"], found["task"]["eval_size"]) == (3, 0.01, None)
    assert found["model"] == resolve(composer, "model=gru")["model"]
    assert [line.partition(" ")[0] for line in composer.take_told()] == ["experiment=zhu_adder:"] * 2


ALPHAS = [0.01, 0.03, 0.1, 0.3, 1]


def test_what_a_sweep_varies_falls_away_where_the_choice_has_no_such_key(composer: Composer) -> None:
    whole = vary(composer, "sweep=alpha_epsilon")
    assert vary(composer, "sweep=alpha_epsilon", "optimizer=nesterov") == whole
    assert composer.take_told() == []
    assert vary(composer, "sweep=alpha_epsilon", "optimizer=adam") == {
        "params": {"optimizer.alpha": ALPHAS}, "seeds": 50
    }  # fmt: skip
    assert composer.take_told() == [
        "sweep=alpha_epsilon: optimizer.epsilon=[0, 0.3, 0.6, 0.9, 0.99] is for optimizer=momentum, and falls away with"
        " optimizer=adam"
    ]
    assert vary(composer, "sweep=eta", "experiment=xor") == {"seeds": 50}


def test_so_it_is_in_a_union_and_with_what_is_tuned(composer: Composer) -> None:
    unions = vary(composer, "sweep=length_adding", "model=gru")["unions"]
    keys = [{*union["params"]} & {"model.activation", "init.gate_bias.forget"} for union in unions]
    assert keys == [set()] * 6
    unions = vary(composer, "sweep=length_adding", "model=lstm")["unions"]
    assert unions[-1]["params"]["init.gate_bias.forget"] == 4
    unions = vary(composer, "sweep=clip_threshold", "clip=none")["unions"]
    assert unions == [{"params": {"clip": "none"}}, {"params": {"clip": "norm"}}]
    assert composer.compose(["sweep=length_adding", "optimizer=rprop"], RunMode.MULTIRUN).tune is None
    tune = composer.compose(["sweep=length_adding", "optimizer=sgd"], RunMode.MULTIRUN).tune
    assert tune == {"optimizer.alpha": [0.001, 0.003, 0.01], "seeds": 3}


def is_asked_for(line: str, typed: Sequence[str]) -> bool:
    """Whether a line names a choice that was typed, or a key of it."""
    return any(
        line.startswith((choice, f"{choice.partition('=')[0]}.")) or f" {choice} needs" in line for choice in typed
    )


def compose_or_refuse(composer: Composer, typed: list[str], needed: dict[tuple[str, str], list[str]]) -> None:
    pairs = [choice.partition("=") for choice in typed]
    more = [text for group, _, name in pairs for text in needed.get((group, name), [])]
    lines: tuple[str, ...] = ()
    try:
        check_configuration(composer.compose([*typed, *more]))
    except ConfigurationError as error:
        lines = error.lines
    assert [line for line in lines if not is_asked_for(line, typed[1:])] == [], typed


@pytest.mark.parametrize("place", range(len(EXPERIMENTS) + 1))
def test_every_choice_with_some_experiment(
    place: int, composer: Composer, files: dict[tuple[str, str], list[str]]
) -> None:
    """All of model, optimizer, init and task are replaced at once; each choice is there once or more."""
    typed = [f"experiment={EXPERIMENTS[place % len(EXPERIMENTS)]}"]
    typed += [f"{group}={NAMES[group][place % len(NAMES[group])]}" for group in ("model", "optimizer", "init", "task")]
    compose_or_refuse(composer, typed, files)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_with_every_choice(
    experiment: str, composer: Composer, files: dict[tuple[str, str], list[str]]
) -> None:
    """Those of some groups are replaced at once: the others are the experiment's own."""
    for groups in (("model", "optimizer"), ("init", "task"), ("loss", "clip", "schedule", "regularizer")):
        # Of the many tasks every third one, the others with the experiments beside it.
        first, step = (EXPERIMENTS.index(experiment) % 3, 3) if "task" in groups else (0, 1)
        for place in range(first, max(len(NAMES[group]) for group in groups), step):
            typed = [f"{group}={NAMES[group][place % len(NAMES[group])]}" for group in groups]
            compose_or_refuse(composer, [f"experiment={experiment}", *typed], files)
