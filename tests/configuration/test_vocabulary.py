"""What other libraries call things leads to what it is here."""

import io
from contextlib import redirect_stderr
from functools import cache

import pytest

from bptt.cli.main import main
from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose, parse_overrides
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.vocabulary import (
    CHOICES,
    KEYS,
    find_conf_folder,
    join_torn,
    list_choices,
    list_owners,
    translate_choice,
    translate_key,
)

CONF = [find_conf_folder()]
GROUPS = {path.name for path in find_conf_folder().iterdir() if path.is_dir()}
HYDRA = {"hydra.sweeper.seeds", "hydra.launcher.workers", "hydra.verbose"}


def refusals(*overrides: str) -> tuple[str, ...]:
    """The lines that are said."""
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(compose(overrides))
    return caught.value.lines


def refusal(*overrides: str) -> str:
    """The only line."""
    (line,) = refusals(*overrides)
    return line


@cache
def keys() -> frozenset[str]:
    """Of the configuration by itself, without Hydra's."""
    config = compose()
    found: list[str] = []

    def walk(node: object, prefix: str) -> None:
        for name, value in node.items() if hasattr(node, "items") else ():
            found.append(prefix + str(name))
            walk(value, f"{prefix}{name}.")

    walk({name: value for name, value in config.items() if name != "hydra"}, "")
    return frozenset(found)


def test_every_key_that_a_word_leads_to_is_there() -> None:
    for key in KEYS:
        assert key in GROUPS or key in HYDRA or key in keys() or list_owners(key, CONF)[0], key
    hydra = compose().hydra
    assert "workers" in hydra.launcher
    assert "verbose" in hydra


def test_every_choice_that_a_word_leads_to_is_there_and_no_word_is_one() -> None:
    for choice, words in CHOICES.items():
        group, _, name = choice.partition("=")
        there = list_choices(group, CONF)
        assert name in there, choice
        assert not set(words.split()) & set(there), choice


def test_no_word_has_two_meanings_or_is_a_key_of_that_name() -> None:
    words = [word for names in KEYS.values() for word in names.split()]
    assert len(words) == len(set(words))
    ends = {key.rpartition(".")[2] for key in keys()} | GROUPS
    assert not set(words) & ends
    assert all(translate_key(word) == key for key, names in KEYS.items() for word in names.split())
    assert all(
        translate_choice(*(choice.partition("=")[0], word)) == choice.partition("=")[2]
        for choice, names in CHOICES.items()
        for word in names.split()
    )


#: What is typed, and what is meant.
WORDS = [
    ("lr=0.1", "optimizer.alpha=0.1"),
    ("optimizer.lr=0.1", "optimizer.alpha=0.1"),
    ("learningRate=1e-3", "optimizer.alpha=0.001"),
    ("learning-rate=0.1", "optimizer.alpha=0.1"),
    ("epochs=5", "train.updates=5"),
    ("train.epochs=5", "train.updates=5"),
    ("momentum=0.9", "optimizer.epsilon=0.9, of optimizer=momentum or nesterov"),
    ("optimizer.momentum=0.9", "optimizer.epsilon=0.9, of optimizer=momentum or nesterov"),
    ("hidden=5", "model.hidden_size=5"),
    ("batch=5", "train.batch_size=5"),
    ("num_layers=2", "model.layers=2"),
    ("gradient_clip=1", "clip.threshold=1, of clip=norm or value"),
    ("wd=0.1", "optimizer.weight_decay=0.1, of optimizer=adamw, momentum, nesterov, rmsprop or sgd"),
    ("l2_penalty=0.1", "regularizer.factor=0.1, of regularizer=l2, l2_activity, omega or orthogonality"),
    ("sweeps=hidden_size", "sweep=hidden_size"),
    ("experiments=xor", "experiment=xor"),
    ("dataset=xor", "task=xor"),
    ("network=rnn", "model=elman"),
    ("optim=sgd", "optimizer=sgd"),
    ("criterion=mse", "loss=squared_error"),
    ("seeds=5", "-m hydra.sweeper.seeds=5"),
    ("random_state=3", "seed=3"),
]


def test_words_for_keys() -> None:
    shown = [(override.replace("=1e-3", "=0.001"), meant) for override, meant in WORDS]
    expected = [f"{override}: unknown key; did you mean {meant}?" for override, meant in shown]
    assert sorted(refusals(*(override for override, _ in WORDS))) == sorted(expected)
    assert refusal(WORDS[0][0]) == expected[0]


def test_where_the_configuration_has_the_key_no_choice_is_named() -> None:
    assert refusal("optimizer=momentum", "momentum=0.9").endswith("did you mean optimizer.epsilon=0.9?")


OF_OTHERS = [
    ("optimizer.epsilon=0.9", "; optimizer=momentum or nesterov has it (allowed: optimizer.alpha, "),
    ("optimizer.epsilonn=1", "; did you mean optimizer.epsilon, of optimizer=momentum or nesterov? (allowed: "),
    ("optimizer.weight_decay=1", "; optimizer=adamw, momentum, nesterov, rmsprop or sgd has it (allowed: "),
    ("clip.threshold=1", "; clip=norm or value has it (allowed: nothing)"),
    ("init.path=x", "; init=file has it (allowed: init.scale, "),
    ("task.length=3", "; task=adding, copying, counting, delayed_xor, dyck, flip_flop, "),
    ("dropout=0.5", "; there is no dropout; regularizer=l2 keeps weights small"),
]


def test_keys_of_other_choices() -> None:
    found = refusals(*(override for override, _ in OF_OTHERS))
    assert len(found) == len(OF_OTHERS)
    for override, says in OF_OTHERS:
        (line,) = [line for line in found if line.startswith(f"{override}: ")]
        assert f"{override}: unknown key{says}" in line
    says = "; did you mean optimizer.epsilon, of optimizer=momentum or nesterov? (allowed: "
    assert f"epsilon=0.9: unknown key{says}" in refusal("epsilon=0.9")


CHOSEN = [
    ("model=rnn", "did you mean elman?"),
    ("loss=mse", "did you mean squared_error?"),
    ("init=xavier", "did you mean glorot?"),
    ("optimizer=Adam", "did you mean adam?"),
    ("clip=1", "did you mean clip.threshold=1, of clip=norm or value?"),
]


def test_words_for_choices() -> None:
    found = refusals(*(override for override, _ in CHOSEN))
    assert len(found) == len(CHOSEN)
    for (override, meant), line in zip(CHOSEN, found, strict=True):
        assert line.startswith(f"{override}: no such choice; {meant} (choices: ")
    several = "model=[elman, gru]: no such choice; several values are a sweep: -m model=elman,gru (choices: "
    assert refusal("model=[elman,gru]").startswith(several)


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("optimizer.alpha=[0.1,0.2]", "optimizer.alpha=0.1,0.2"),
        ("seed=range 5", "seed=range(5)"),
        ("seed=0..5", "seed=range(0,6)"),
        ("seed=1-5", "seed=range(1,6)"),
        ("seed=0:5", "seed=range(0,5)"),
    ],
)
def test_several_values(override: str, meant: str) -> None:
    assert refusal(override).endswith(f"; several values are a sweep: -m {meant}")


def test_values_that_no_sweep_could_have_are_no_sweep() -> None:
    assert refusal("model.hidden_size=[a,b]").endswith("must be a whole number at least 1")
    assert refusal("model.hidden_size=[3]").endswith("must be a whole number at least 1")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("seed = 0", "seed=0"),
        ("seed= 0", "seed=0"),
        ("seed =0", "seed=0"),
        ("lr 0.1", "optimizer.alpha=0.1"),
        ("model gru", "model=gru"),
        ("seed=range 5", "seed=range(5)"),
        ("seed=0, 1, 2", "seed=0,1,2"),
        ("seed=0 , 1", "seed=0,1"),
        ("learning_rate = 0.1, 0.2", "optimizer.alpha=0.1,0.2"),
    ],
)
def test_what_a_shell_has_parted(arguments: str, meant: str) -> None:
    parsed, lines = parse_overrides(["task=xor", *arguments.split(" "), "clip=none"])
    assert lines == [f"{arguments}: a shell parts it at its blanks; did you mean {meant}?"]
    assert [override.input_line for override in parsed] == ["task=xor", "clip=none"]


def test_what_can_be_read_is_left_alone() -> None:
    for texts in (["seed=0", "model=gru"], ["~clip", "seed=1"], ["task.path=", "seed=1"], ["foo", "bar"], ["+", "3"]):
        assert join_torn(texts) == texts


@pytest.mark.parametrize(
    ("word", "meant"),
    [("rnn", "model=elman"), ("lstm", "model=lstm"), ("xor", "task=xor"), ("lr", "optimizer.alpha=…")],
)
def test_a_word_alone(word: str, meant: str) -> None:
    assert refusal(word) == f"{word}: not of the form key=value; did you mean {meant}?"


def test_a_choice_that_is_added_although_it_is_chosen() -> None:
    assert refusal("+experiment=xor").startswith("+experiment=xor: chosen already; leave out the +")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["--lr", "0.1"], "--lr; did you mean optimizer.alpha=0.1?"),
        (["--lr=0.1"], "--lr=0.1; did you mean optimizer.alpha=0.1?"),
        (["--hidden-size", "5"], "--hidden-size; did you mean model.hidden_size=5?"),
        (["--model", "gru", "-m"], "--model; did you mean model=gru?"),
        (["--zzz"], "--zzz"),
    ],
)
def test_an_option_for_a_key(arguments: list[str], meant: str) -> None:
    told = io.StringIO()
    with redirect_stderr(told), pytest.raises(SystemExit) as ended:
        main(["train", *arguments])
    assert ended.value.code == 2
    assert told.getvalue() == f"bptt train: unrecognized arguments: {meant}; bptt train --help says more\n"
