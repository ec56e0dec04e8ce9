"""What can't be run is refused before anything starts, in one line for each thing that is wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from bptt.cli.main import COMMANDS
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError, quote
from bptt.core.run import Measured
from tests.program import Folder

ROOT_KEYS = "(allowed: task, model, loss, optimizer, schedule, regularizer, clip, init, train, tracking, seed, allow, reuse, on_error, question, solved, conditions, tune, confirm, measure, published, report, tags)"
ELMAN_KEYS = (
    "(allowed: model.hidden_size, model.layers, model.activation, model.bias, model.readout, "
    "model.recurrent_constraint, model.spectral_margin)"
)
JORDAN_KEYS = "(allowed: model.hidden_size, model.layers, model.activation, model.bias, model.readout)"
MEASURES = f"one of {', '.join(get_args(Measured))}"
MODELS = "(choices: elman, gru, jordan, leaky, linear, lstm)"
INITS = "(choices: constant, file, glorot, identity, legacy, normal, orthogonal, sparse, torch, uniform)"
BLOCK = "must be null, a number, the name of a choice of init, or {name: that name, scale: …}"
LSTM_GATES = "(allowed: init.gate_bias.input, init.gate_bias.forget, init.gate_bias.cell, init.gate_bias.output)"
ALL_GATES = f"{LSTM_GATES[:-1]}, init.gate_bias.reset, init.gate_bias.update, init.gate_bias.new)"
GATE = "must be null, a number, or {name: chrono, t_max: …}"
QUOTE = "a value with blanks, brackets or any of =,:'\" is written key='…'"


def refusal(overrides: list[str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(compose(overrides))
    assert all("\n" not in line for line in caught.value.lines)
    return list(caught.value.lines)


#: Override → its line.
ONE = [
        # keys
        ("model.hiden_size=3", f"unknown key; did you mean model.hidden_size? {ELMAN_KEYS}"),
        ("hidden_size=3", f"unknown key; did you mean model.hidden_size? {ROOT_KEYS}"),
        ("modle=lstm", f"unknown key; did you mean model? {ROOT_KEYS}"),
        ("sseed=1", f"unknown key; did you mean seed? {ROOT_KEYS}"),
        ("zzz=1", f"unknown key {ROOT_KEYS}"),
        ("clip.threshold=1", "unknown key; clip=norm or value has it (allowed: nothing)"),
        ("tracking.url=x", "unknown key; did you mean tracking.uri? (allowed: tracking.uri, tracking.experiment, tracking.enabled, tracking.checkpoint_seconds, tracking.detail)"),
        ("train.early_stop.metrics=x", "unknown key; did you mean train.early_stop.metric? (allowed: train.early_stop.metric, train.early_stop.threshold, train.early_stop.patience)"),
        # types and ranges
        ("model.hidden_size=three", "must be a whole number at least 1"),
        ("model.hidden_size=0", "must be a whole number at least 1"),
        ("model.hidden_size=2.5", "must be a whole number at least 1"),
        ("model.hidden_size=true", "must be a whole number at least 1"),
        ("model.hidden_size=null", "must be a whole number at least 1"),
        ("model.hidden_size=[3]", "must be a whole number at least 1"),
        ("model.hidden_size='3'", "must be a whole number at least 1"),
        ("model.activation=tahn", "must be one of tanh, sigmoid, relu, identity; did you mean tanh?"),
        ("model.bias=true", "must be one of none, single, double"),
        ("model.readout=", "must be one of none, identity, sigmoid, softmax"),
        ("optimizer.alpha=nan", "must be a number at least 0"),
        ("optimizer.alpha=inf", "must be a number at least 0"),
        ("optimizer.alpha=-0.1", "must be a number at least 0"),
        ("optimizer.beta1=1", "must be a number at least 0 and below 1"),
        ("loss.weight=0", "must be a number above 0"),
        ("train.updates=1.5", "must be a whole number at least 1"),
        ("train.truncation=0", "must be a whole number at least 1, or null"),
        ("train.carry_state=1", "must be true or false"),
        ("train.log_spacing=logarithmic", "must be one of linear, log"),
        ("train.snapshots=-1", "must be a whole number at least 0"),
        ("train.snapshots=all", "must be a whole number at least 0"),
        ("train.snapshot_spacing=even", "must be one of linear, log"),
        ("train.measure=[sharpnes]", f"must be a list, each item {MEASURES}; did you mean sharpness?"),
        ("train.measure=3", f"must be a list, each item {MEASURES}"),
        ("train.snapshot=20", "unknown key; did you mean train.snapshots? (allowed: train.updates, train.batch_size, train.truncation, train.carry_state, train.log_points, train.log_spacing, train.snapshots, train.snapshot_spacing, train.early_stop, train.only, train.measure, train.keep, train.keep_by)"),
        ("train.keep=bset", "must be one of last, best; did you mean best?"),
        ("train.keep_by=accuracy", "must be one of loss/eval, accuracy/eval; did you mean accuracy/eval?"),
        ("train.early_stop.patience=0", "must be a whole number at least 1, or null"),
        ("train.early_stop=3", "must be a group of values (metric, threshold, patience)"),
        ("train.early_stop.metric=loss", "must be one of loss/train, loss/eval, accuracy/eval, or null; did you mean loss/eval?"),
        ("seed=-1", "must be a whole number at least 0"),
        ("seed=x", "must be a whole number at least 0"),
        ("reuse=yes", "must be true or false"),
        ("on_error=stp", "must be one of continue, stop; did you mean stop?"),
        ("tracking.enabled=maybe", "must be true or false"),
        # choices
        ("model=elmann", f"no such choice; did you mean elman? {MODELS}"),
        ("model=transformer", f"no such choice {MODELS}"),
        ("model=null", f"no such choice {MODELS}"),
        ("clip=[none,value]", "no such choice; several values are a sweep: -m clip=none,value (choices: none, norm, value)"),
        # blocks
        ("init.recurrent=orthogonl", f"{BLOCK}; did you mean orthogonal? {INITS}"),
        ("init.recurrent=true", f"{BLOCK} {INITS}"),
        ("init.recurrent={scale:2}", f"{BLOCK} {INITS}"),
        ("init.recurent=0", "unknown key; did you mean init.recurrent? (allowed: init.scale, init.input, init.recurrent, init.bias, init.recurrent_bias, init.readout_weight, init.readout_bias, init.gate_bias)"),
        # gates
        ("init.gate_bias.forget=high", GATE),
        ("init.gate_bias.forget=true", GATE),
        ("init.gate_bias.forget=nan", GATE),
        ("init.gate_bias.forget=inf", GATE),
        ("init.gate_bias.forget=[1]", GATE),
        ("init.gate_bias.forget={t_max:9}", GATE),
        ("init.gate_bias.forget={name:chrno,t_max:9}", f"{GATE}; did you mean chrono?"),
        ("init.gate_bias=1", "must be null, or a group of values: {NAME OF A GATE: a number}"),
        ("init._target_=bptt.core.inits.initialisation.Chrono", "lacks values"),
        # interpolations and classes
        ("model.readout=${tsk.readout}", "can't be followed (Interpolation key 'tsk.readout' not found)"),
        ("model.readout=${nope:1}", "can't be followed (Unsupported interpolation type nope)"),
        ("model._target_=os.system", "must name a class of bptt.core.models (allow=[PACKAGE] adds your own)"),
        ("model._target_=bptt.core.losses.squared_error.SquaredError", "must name a class of bptt.core.models (allow=[PACKAGE] adds your own)"),
        ("model._target_=bptt.core.models.elman.Elmann", "can't be imported (AttributeError: module 'bptt.core.models.elman' has no attribute 'Elmann')"),
        ("model._target_=bptt.core.models.elman.elman_step", "is no dataclass"),
        ("model._target_=3", "must name a class of bptt.core.models (allow=[PACKAGE] adds your own)"),
]  # fmt: skip


def _together(cases: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """The cases in as few commands as can be: those whose keys are of no choice that is wrong, nor one below another."""
    commands: list[list[tuple[str, str]]] = []
    for case in cases:
        key = f"{case[0].partition('=')[0]}."
        if "." not in key[:-1] or "_target_" in key or "${" in case[0] or "can't be" in case[1]:
            yield [case]
            continue
        for command in commands:
            keys = [f"{override.partition('=')[0]}." for override, _ in command]
            if not any(key.startswith(other) or other.startswith(key) for other in keys):
                command.append(case)
                break
        else:
            commands.append([case])
    yield from commands


@pytest.mark.parametrize("cases", [*_together(ONE)], ids=lambda cases: " ".join(override for override, _ in cases)[:60])
def test_each_override_has_its_line(cases: list[tuple[str, str]]) -> None:
    expected = []
    for override, line in cases:
        key, _, value = override.partition("=")
        shown = value.replace(",", ", ").replace(":", ": ") if value[:1] in {"[", "{"} else value or "''"
        expected.append(f"{key}={shown}: {line}")
    assert sorted(refusal([override for override, _ in cases])) == sorted(expected)


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        # grammar
        (["model.hidden_size"], ["model.hidden_size: not of the form key=value; did you mean model.hidden_size=…?"]),
        (["=3"], ["=3: not of the form key=value"]),
        ([""], [": not of the form key=value"]),
        (["~"], ["~: not of the form key=value"]),
        (["seed=[1,"], [f"seed=[1,: can't be read; {QUOTE}"]),
        (["seed=${"], [f"seed=${{: can't be read; {QUOTE}"]),
        (["se ed=1"], [f"se ed=1: can't be read; {QUOTE}"]),
        (["seed='1"], [f"seed='1: can't be read; {QUOTE}"]),
        (["seed=foo(1)"], ["seed=foo(1): Unknown function 'foo'"]),
        (["seed=1,2"], ["seed=1,2: several values are a sweep, which needs -m (a list is written seed=[1,2])"]),
        (["seed=1", "seed=2"], ["seed=2: given twice, as seed=1 before"]),
        (["model=gru", "model=gru"], ["model=gru: given twice, as model=gru before"]),
        # + and ~
        (["+zzz=1"], [f"zzz=1: unknown key {ROOT_KEYS}"]),
        (["++zzz=1"], [f"zzz=1: unknown key {ROOT_KEYS}"]),
        (["+model.hidden_size=3"], ["+model.hidden_size: the key is there already; leave out the +"]),
        (["~seed"], ["seed: missing; must be a whole number at least 0"]),
        (["~model.layers"], ["model.layers: missing; must be a whole number at least 1"]),
        (["~model"], ["model: missing; choose one: model=…"]),
        (["~train"], ["train: missing; choose one: train=default"]),
        (["~zzz"], ["~zzz: no such key"]),
        (["hydra.zzz=1"], ["hydra.zzz: unknown key"]),
        # missing values and files
        (["init=file"], ["init.path: missing; give it a value: init.path=…"]),
        (["init=file", "init.path=nowhere.npz"], ["init.path=nowhere.npz: no such file"]),
        (["init.input={name:file,path:nowhere.npz}"], ["init.input.path=nowhere.npz: no such file"]),
        (["task=arrays", "task.path=nowhere.npz"], ["task.path=nowhere.npz: no such file"]),
        # blocks
        (["init.bias={name:glorot,scale:-1}"], ["init.bias.scale=-1: must be a number at least 0"]),
        (["init.bias={name:glorot,sale:1}"], ["init.bias.sale=1: unknown key; did you mean init.bias.scale? (allowed: init.bias.scale)"]),
        # gates
        (["model=lstm", "init.gate_bias.forget={name:chrono}"], ["init.gate_bias.forget.t_max: missing; must be a number at least 3"]),
        (["model=lstm", "init.gate_bias.forget={name:chrono,t_max:2.5}"], ["init.gate_bias.forget.t_max=2.5: must be a number at least 3"]),
        (["model=lstm", "init.gate_bias.forget={name:chrono,t_max:9,t_min:2}"], ["init.gate_bias.forget.t_min=2: unknown key; did you mean init.gate_bias.forget.t_max? (allowed: init.gate_bias.forget.t_max)"]),
        (["model=lstm", "init.gate_bias.forgt=1"], ["init.gate_bias.forgt=1: unknown key; did you mean init.gate_bias.forget? " + LSTM_GATES]),
        (["model=lstm", "init.gate_bias={forgt: 1}"], ["init.gate_bias.forgt=1: unknown key; did you mean init.gate_bias.forget? " + LSTM_GATES]),
        (["model=lstm", "init.gate_bias.forgt=1", "seed=-1"], ["seed=-1: must be a whole number at least 0", "init.gate_bias.forgt=1: unknown key; did you mean init.gate_bias.forget? " + LSTM_GATES]),
        (["model=lstm", "init.gate_bias.forgt=1", "model.layers=0"], ["model.layers=0: must be a whole number at least 1", "init.gate_bias.forgt=1: unknown key; did you mean init.gate_bias.forget? " + ALL_GATES]),
        (["model=elman", "model.recurrent_constraint=orthogonal", "optimizer=adam"], ["model.recurrent_constraint=orthogonal: asks for steps along the gradient: use optimizer=sgd, optimizer=momentum or optimizer=nesterov"]),
        (["model=elman", "model.recurrent_constraint=orthognal"], ["model.recurrent_constraint=orthognal: must be one of none, orthogonal; did you mean orthogonal?"]),
        (["model=elman", "model.spectral_margin=0.1"], ["model.spectral_margin=0.1: has no effect with model.recurrent_constraint=none; use 0, or orthogonal"]),
        (["model=elman", "model.recurrent_constraint=orthogonal", "model.spectral_margin=1.5"], ["model.spectral_margin=1.5: must be a number at least 0 and at most 1"]),
        (["model=jordan", "model.recurrent_constraint=orthogonal"], [f"model.recurrent_constraint=orthogonal: unknown key; model=elman or linear has it {JORDAN_KEYS}"]),
        (["model=elman", "init.gate_bias.forgt=1"], ["init.gate_bias.forgt=1.0: model=elman has no gates"]),
        (["model=gru", "init.gate_bias.forget=1"], ["init.gate_bias.forget=1.0: model=gru has no such gate (gates: reset, update, new)"]),
        (["model=elman", "init.gate_bias.forget=1"], ["init.gate_bias.forget=1.0: model=elman has no gates"]),
        (["model=lstm", "model.bias=none", "init.gate_bias.forget=1"], ["init.gate_bias.forget=1.0: model.bias=none leaves no bias to set; use model.bias=single"]),
        (["model=lstm", "init.gate_bias.output={name:chrono,t_max:9}"], ["init.gate_bias.output={name: chrono, t_max: 9.0}: chrono is for a gate that keeps the state, or writes to it (model=lstm: input, forget)"]),
        (["model=gru", "init.gate_bias.new={name:chrono,t_max:9}"], ["init.gate_bias.new={name: chrono, t_max: 9.0}: chrono is for a gate that keeps the state, or writes to it (model=gru: update)"]),
        # combinations
        (["loss=binary_cross_entropy", "model.readout=identity"], ["model.readout=identity: loss=binary_cross_entropy needs model.readout=sigmoid"]),
        (["loss=cross_entropy"], ["model.readout=sigmoid: loss=cross_entropy needs model.readout=softmax"]),
        (["task=sentiment", "loss=binary_cross_entropy", "model.readout=softmax"], ["model.readout=softmax: loss=binary_cross_entropy needs model.readout=sigmoid"]),
        (["model.readout=softmax"], ["model.readout=softmax: is always 1 with a single output; use sigmoid"]),
        (["model.readout=none"], ["model.hidden_size=16: model.readout=none makes the state the output, so model.hidden_size must be 1, the task's outputs"]),
        (["task=counting", "task.length=1", "task.count=4", "loss=cross_entropy", "model.readout=softmax"], ["model.readout=softmax: is always 1 with a single output; use sigmoid"]),
        (["task=sine", "task.amplitude=2", "loss=binary_cross_entropy", "model.readout=sigmoid"], ["loss=binary_cross_entropy: takes targets from 0 to 1, the task has -2 to 2"]),
        (["train.early_stop.metric=accuracy/eval", "train.early_stop.threshold=99"], ["train.early_stop.threshold=99.0: an accuracy is at most 1"]),
        (["task=sine", "train.early_stop.metric=accuracy/eval"], ["train.early_stop.metric=accuracy/eval: the task has no accuracy; use loss/eval"]),
        (["train.early_stop.metric=accuracy/eval"], ["train.early_stop.threshold=0.0: every accuracy has reached it; give one above 0, or train.early_stop.patience"]),
        (["train.early_stop.patience=3"], ["train.early_stop.patience=3: waits for a metric: give train.early_stop.metric too, as loss/eval"]),
        (["train.early_stop={metric: loss/eval, patience: 100}"], ["train.early_stop.patience=100: never runs out, as 100 updates are recorded; give less, or more of train.log_points"]),
        (["train.early_stop={metric: loss/eval, patience: 1}", "train.updates=1"], ["train.early_stop.patience=1: never runs out, as 1 update is recorded; give less, or more of train.log_points"]),
        (["train.keep_by=accuracy/eval"], ["train.keep_by=accuracy/eval: has no effect with train.keep=last; give train.keep=best too"]),
        (["task=sine", "train.keep=best", "train.keep_by=accuracy/eval"], ["train.keep_by=accuracy/eval: the task has no accuracy; use loss/eval"]),
        (["optimizer=irprop_minus", "optimizer.delta_min=100"], ["optimizer.delta_min=100.0: at most delta_max=50.0"]),
        # several at once
        (
            ["seed=-1", "model.layers=0", "clip=vlaue", "optimizer.alfa=1", "abc"],
            [
                "abc: not of the form key=value",
                "clip=vlaue: no such choice; did you mean value? (choices: none, norm, value)",
                "seed=-1: must be a whole number at least 0",
                "model.layers=0: must be a whole number at least 1",
                "optimizer.alfa=1: unknown key; did you mean optimizer.alpha? (allowed: optimizer.alpha, optimizer.beta1, optimizer.beta2, optimizer.small_constant, optimizer.noise, optimizer.noise_decay)",
            ],
        ),
        # what stands under a choice that there is not can't be judged
        (["task=adderr", "task.length=3"], ["task=adderr: no such choice; did you mean adder? (choices: adder, adding, anbn, arrays, charlm, copying, counting, delayed_xor, digits, dyck, flip_flop, latch, leftbit, lorenz, mackey_glass, match_to_sample, memorization, multiplication, narma, parity, perceptual_decision, permutation, random_labels, sentiment, sine, table, temporal_order, xor)"]),
    ],
)  # fmt: skip
def test_refusals(overrides: list[str], lines: list[str]) -> None:
    assert refusal(overrides) == lines


def test_init_file_of_wrong_shape(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, **{"cell.0.input": np.zeros((1, 16))})  # type: ignore[arg-type]
    lines = refusal(["init=file", f"init.path={path}"])
    assert lines[0] == f"init.path={quote(str(path))}: cell.0.input has shape (1, 16), needed is (2, 16)"
    assert lines[1] == f"init.path={quote(str(path))}: lacks cell.0.recurrent; it holds cell.0.input"
    lines = refusal(["init.recurrent={name: file, path: '" + str(path) + "'}"])
    assert lines == [f"init.recurrent.path={quote(str(path))}: lacks cell.0.recurrent; it holds cell.0.input"]


def test_wrong_choice_in_a_file_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /model: elmo\n", encoding="utf-8"
    )
    with pytest.raises(ConfigurationError) as caught:
        compose(["experiment=mine"], tmp_path)
    assert caught.value.lines == ("model/elmo: no such choice (choices: elman, gru, jordan, leaky, linear, lstm)",)


def test_file_of_the_users_own_that_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("a: [1,\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        compose(["model=mine"], tmp_path)
    assert len(caught.value.lines) == 1
    assert "mine.yaml" in caught.value.lines[0]


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["train", "seed=-1", "model.layers=0"], ["seed=-1: must be a whole number at least 0", "model.layers=0: must be a whole number at least 1"]),
        (["train", "-m", "seed=1,-1", "model=lstm"], ["seed=-1: must be a whole number at least 0"]),
        (["train", "-m", "model=elman,lsmt"], [f"model=lsmt: no such choice; did you mean lstm? {MODELS}"]),
        (["train", "-m", "seed=range(1,2,0)"], ["seed=range(1,2,0): range() arg 3 must not be zero"]),
        (["train", "-m", "seed=interval(0,1)"], ["seed=interval(0,1): neither a list of values nor a range"]),
        (["train", "--cfg", "job", "zzz=1"], [f"zzz=1: unknown key {ROOT_KEYS}"]),
        (["train", "--config-dir", "nowhere"], ["--config-dir nowhere: no such folder"]),
        (["train", "--cfg", "job", "-m"], ["--multirun and --cfg don't go together"]),
        (["check-gradients", "model.hidden_size=0"], ["model.hidden_size=0: must be a whole number at least 1"]),
        (["trian"], [f"trian: no such command; did you mean train? (commands: {', '.join(COMMANDS)})"]),
    ],
)  # fmt: skip
def test_on_the_command_line(arguments: list[str], lines: list[str], tmp_path: Path) -> None:
    result = Folder(tmp_path).bptt(*arguments)
    assert result.stderr.splitlines() == lines
    assert result.stdout == ""
    assert result.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_snapshots_that_would_fill_the_memory_are_refused_by_their_key() -> None:
    many = [f"train.{key}=1000000" for key in ("snapshots", "updates", "log_points")]
    says = r"train\.snapshots=1000000: the snapshots would take [\d.e+]+ GiB of memory, this machine has"
    with pytest.raises(ConfigurationError, match=says):
        check_configuration(compose(["task=adder", "model.hidden_size=500", *many]))
