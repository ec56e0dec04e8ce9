"""Every choice of every group, and every experiment, is composed, built and trained for two updates."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from bptt.configuration.build import Configuration, SweepSettings, check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.inits.initialisation import Chrono
from bptt.core.random import Generator
from bptt.core.regularizers.none import NoRegularizer
from bptt.core.schedules.constant import ConstantSchedule
from bptt.core.training import train
from bptt.tracking.store.tags import flatten_config
from tests.combining import combine, list_files


@pytest.mark.slow
def test_every_choice(files: dict[tuple[str, str], list[str]]) -> None:
    """It trains, and what it is resolved to is a normal form: resolved again, it is the same."""
    chosen = combine(list_files(), files)
    assert len(chosen) > 40
    for choices in chosen:
        assert_trains(choices)


def assert_trains(choices: list[str]) -> None:
    configuration = check_configuration(compose([*choices, "train.updates=2"]))
    again = check_configuration(configuration.resolved)
    assert again.resolved == configuration.resolved
    assert again.run == configuration.run
    (record,) = train([configuration.run])
    assert record.outcome == "completed"
    assert record.updates == 2
    assert np.array_equal(record.history["update"], [1, 2])
    assert all(np.isfinite(values).all() for values in record.parameters.values())


def test_a_configuration_of_before_there_was_a_group_means_what_the_group_is_without() -> None:
    whole = build("optimizer=rprop")
    older = {name: node for name, node in whole.resolved.items() if name not in {"schedule", "regularizer"}}
    found = check_configuration(older)
    assert found.run == whole.run
    assert found.resolved == whole.resolved
    assert (found.run.schedule, found.run.regularizer) == (ConstantSchedule(), NoRegularizer())


@pytest.mark.parametrize("optimizer", ["rprop", "rprop_plus", "irprop_minus", "irprop_plus"])
def test_an_optimizer_without_a_learning_rate_has_no_schedule(optimizer: str) -> None:
    assert build(f"optimizer={optimizer}", "schedule=constant").run.schedule == ConstantSchedule()
    with pytest.raises(ConfigurationError) as raised:
        build(f"optimizer={optimizer}", "schedule=warmup")
    says = f"scales optimizer.alpha, which {optimizer} does not have; use schedule=constant"
    assert raised.value.lines == (f"schedule=warmup: {says}",)


def test_what_alone_is_trained_must_be_there() -> None:
    assert build("train.only=[readout,recurrent]").run.train.only == ("readout", "recurrent")
    with pytest.raises(ConfigurationError) as raised:
        build("train.only=[recurrent_bias]")
    says = "this network has no recurrent_bias (it has input, recurrent, bias, readout_weight, readout_bias)"
    assert raised.value.lines == (f"train.only=[recurrent_bias]: {says}",)
    for wrong in ("[]", "[readouts]", "readout"):
        with pytest.raises(ConfigurationError, match=r"^train.only="):
            build(f"train.only={wrong}")


def test_every_default_stands_in_its_file() -> None:
    """What is recorded is what the files say of a run: no class adds a value of its own."""

    def names(values: dict[str, Any], prefix: str = "") -> set[str]:
        return {
            inner
            for name, value in values.items()
            for inner in (
                {f"{prefix}{name}"} | (names(value, f"{prefix}{name}.") if isinstance(value, dict) else set())
            )
        }

    sweeps_only = {field.name for field in dataclasses.fields(SweepSettings)}
    config = OmegaConf.to_container(compose())
    assert isinstance(config, dict)
    written = {str(key): value for key, value in config.items() if key not in {"hydra", *sweeps_only}}
    gates = written["init"].pop("gate_bias")  # which are recorded as far as a run sets them
    assert not any(gates.values())
    assert written.pop("tags") == {}  # likewise
    assert names(check_configuration(compose()).resolved) == names(written)


def build(*overrides: str) -> Configuration:
    return check_configuration(compose(overrides))


def test_blocks_that_start_differently() -> None:
    blocks = build("init.recurrent=orthogonal", "init.bias=0", "init.input={name: normal, scale: 0.25}").run.init.blocks
    assert {name: (type(init).__name__, vars(init)["scale"]) for name, init in blocks.items()} == {
        "recurrent": ("Orthogonal", 1.0),
        "bias": ("Constant", 0.0),
        "input": ("Normal", 0.25),
    }


CHRONO = "{name: chrono, t_max: 100}"


@pytest.mark.parametrize(
    ("overrides", "gates"),
    [
        (["model=lstm", "init.gate_bias.forget=1"], {"forget": 1.0}),
        (["model=lstm", "init.gate_bias={output: -2, input: 0}"], {"output": -2.0, "input": 0.0}),
        (["model=lstm", "init.gate_bias.forget=1", "init.bias=torch"], {"forget": 1.0}),
        (["model=gru", f"init.gate_bias.update={CHRONO}"], {"update": Chrono(t_max=100.0)}),
        (
            ["model=lstm", f"init.gate_bias.forget={CHRONO}", "init.gate_bias.input=${init.gate_bias.forget}"],
            {"forget": Chrono(t_max=100.0), "input": Chrono(t_max=100.0)},
        ),
        (["model=lstm", "init.gate_bias.forget=null"], {}),
        (["model=lstm", "init.gate_bias=null"], {}),
        (["model=lstm", "~init.gate_bias"], {}),
        (["model=elman"], {}),
    ],
)
def test_gates_that_start_differently(overrides: list[str], gates: dict[str, Any]) -> None:
    configuration = build(*overrides)
    assert configuration.run.init.gate_bias == gates
    again = check_configuration(configuration.resolved)
    assert (again.run, again.resolved) == (configuration.run, configuration.resolved)


def test_a_gate_is_recorded_as_it_is_asked_for_and_only_where_it_is() -> None:
    resolved = build("model=lstm", "init.gate_bias.output=2", f"init.gate_bias.forget={CHRONO}").resolved
    assert resolved["init"].pop("gate_bias") == {"forget": {"name": "chrono", "t_max": 100.0}, "output": 2.0}
    assert resolved == build("model=lstm").resolved
    params = flatten_config(build("model=lstm", "init.gate_bias.output=2", f"init.gate_bias.forget={CHRONO}").resolved)
    assert {key: value for key, value in params.items() if "gate" in key} == {
        "init.gate_bias.forget.name": "chrono",
        "init.gate_bias.forget.t_max": "100.0",
        "init.gate_bias.output": "2.0",
    }


def test_the_gates_of_all_cells_stand_in_the_file() -> None:
    """So that they are set without a +, and `--help` shows them."""
    config = OmegaConf.load(find_conf_folder() / "config.yaml")
    models = [name for group, name in list_files() if group == "model"]
    gates = [gate.name for model in models for gate in build(f"model={model}").run.model.cell.named_gates]
    assert sorted(config.init.gate_bias) == sorted(gates)


def test_equal_runs_have_equal_resolved_configurations() -> None:
    one = build("train.updates=1e3", "optimizer.alpha=1", "init.recurrent=orthogonal").resolved
    other = build("train.updates=1000", "optimizer.alpha=1.0", "init.recurrent={name: orthogonal, scale: 1}").resolved
    assert one == other
    assert type(one["train"]["updates"]) is int
    assert type(one["optimizer"]["alpha"]) is float


def test_how_a_sweep_goes_about_its_runs_is_no_part_of_a_run() -> None:
    own = ("reuse=false", "on_error=stop", "question='How many, 2 or 3?'", "solved='loss/eval<=0.01'", "report=false")
    configuration = build(*own)
    assert configuration.sweep == SweepSettings(
        reuse=False, on_error="stop", question="How many, 2 or 3?", solved="loss/eval<=0.01", report=False
    )
    assert configuration.resolved == build().resolved
    default = SweepSettings(reuse=True, on_error="continue", question=None, solved=None, report=True)
    assert build().sweep == check_configuration(configuration.resolved).sweep == default


def test_model_takes_its_readout_from_the_task() -> None:
    assert build("task=sentiment").run.model.readout == "softmax"
    assert build("task=sine").run.model.readout == "identity"
    assert build("task=sine", "model.readout=sigmoid").run.model.readout == "sigmoid"


def test_loss_named_by_the_user_goes_before_the_task_s() -> None:
    assert type(build("task=leftbit").run.loss).__name__ == "BinaryCrossEntropy"
    assert type(build("task=leftbit", "loss=squared_error").run.loss).__name__ == "SquaredError"
    assert type(build("experiment=outlace_leftbit", "loss=squared_error").run.loss).__name__ == "SquaredError"


def test_choices_of_the_users_own(tmp_path: Path) -> None:
    for group, text in {
        "model": "_target_: bptt.core.models.gru.Gru\nhidden_size: 5\nlayers: 2\nbias: double\nreadout: sigmoid\n",
        "init": "_target_: bptt.core.inits.normal.Normal\nscale: 0.125\n",
        "experiment": "# @package _global_\ndefaults:\n  - override /model: mine\nseed: 7\n",
    }.items():
        (tmp_path / group).mkdir()
        (tmp_path / group / "mine.yaml").write_text(text, encoding="utf-8")
    run = check_configuration(compose(["experiment=mine", "init.recurrent=mine"], tmp_path)).run
    assert (run.model.hidden_size, run.model.layers, run.seed) == (5, 2, 7)
    assert vars(run.init.blocks["recurrent"])["scale"] == 0.125


def test_classes_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_clips.py").write_text(
        "from dataclasses import dataclass\nfrom bptt.core.clips.none import no_clip\n"
        "@dataclass(frozen=True)\nclass Mine:\n    limit: float = 2.0\n    kernel = no_clip\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    configuration = build("allow=[their_clips]", "clip._target_=their_clips.Mine")
    assert vars(configuration.run.clip)["limit"] == 2.0
    assert configuration.resolved["clip"] == {"_target_": "their_clips.Mine", "limit": 2.0}


def test_experiments_are_the_articles() -> None:
    sentiment = build("experiment=hull_sentiment").run
    sentences = sentiment.task.training().sequences.count  # type: ignore[attr-defined]
    assert sentiment.train.updates == 1000 * sentences
    sine = build("experiment=sullivan_sine").run
    windows = sine.task.training().sequences.count  # type: ignore[attr-defined]
    assert sine.train.updates * sine.train.batch_size == 100 * windows
    leftbit = build("experiment=outlace_leftbit").run
    assert leftbit.loss.weight == 1 / 13
    counting = build("experiment=roelants_counting").run
    blocks = {name: vars(init)["scale"] for name, init in counting.init.blocks.items()}
    assert blocks == {"input": -1.5, "recurrent": 2.0}
    beside = {"noise": 0.0, "noise_decay": 0.55}
    assert vars(counting.optimizer) == {"eta_plus": 1.2, "eta_minus": 0.5, "delta_zero": 0.001} | beside
    adder = build("experiment=zhu_adder").run
    rng = Generator(np.random.SeedSequence(0))
    assert adder.task.evaluation(rng).count == 128 * 128
