"""From the settings of a sweep and the command line to the overrides of its runs."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from bptt.configuration.errors import ConfigurationError
from bptt.sweeps.jobs.grammar import expand, find_differing

COUNT = "must be a whole number at least 1 and at most 1,000,000"
SETTINGS = "(allowed: it.params, it.zip, it.seeds, it.exclude, it.unions, it.halving)"
UNION = "(allowed: it.unions[0].params, it.unions[0].zip, it.unions[0].seeds, it.unions[0].exclude)"
UNEQUAL = "the keys advance together, but have different numbers of values"
SHUFFLE = "shuffle gives another order each time; the order of runs has no meaning here"
UNREAD = "can't be read; a value with blanks, brackets or any of =,:'\" is written key='…'"


def jobs(*command: str, **settings: Any) -> list[str]:
    return [" ".join(job) for job in expand(settings, command)]


def refusal(*command: str, **settings: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        expand(settings, command)
    assert all("\n" not in line for line in caught.value.lines)
    return list(caught.value.lines)


def test_no_sweep_is_one_run() -> None:
    assert jobs() == [""]
    assert jobs("seed=3", "model=gru") == ["seed=3 model=gru"]


@pytest.mark.parametrize(
    "command",
    [
        ["a=1,2", "b=x,y", "c=3"],
        ["a=range(3)", "b=range(0,1,0.25)", "c=range(3,0,-1)"],
        ["a=choice(1,2.5,x)", "b=sort(3,1,2,reverse=true)", "c=tag(t,choice(x,y))"],
        ["a=int(1.5,2.5)", "b=str(1,2)", "c=[1,2],[3]"],
        ["a={x:1},{x:2}", "b='it\\'s',\"b\"", "c='a,b'"],
        ["+a=1,2", "++b=1", "c@d=x,y", "c@e=x"],
    ],
)  # fmt: skip
def test_the_command_line_as_hydra_s_own_sweeper_has_it(command: list[str]) -> None:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    hydras = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(command), None)[0]
    assert [list(job) for job in expand({}, command)] == hydras


def test_values_that_are_written_otherwise_than_hydra_has_them() -> None:
    assert jobs("a=true,FALSE", "~b", "c=True") == ["a=true ~b c=true", "a=false ~b c=true"]


def test_params() -> None:
    assert jobs(params={"a": "1,2", "b": [0.1, 1e-8], "c": 3}) == [
        "a=1 b=0.1 c=3", "a=1 b=1e-08 c=3", "a=2 b=0.1 c=3", "a=2 b=1e-08 c=3"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (False, "false"), (0, "0"), (-1.5, "-1.5"), (1e300, "1e+300"),
        ("elman", "elman"), ("two words", "'two words'"), ("true", "'true'"), ("null", "'null'"), ("1", "'1'"),
        ("", "''"), ("a,b", "'a,b'"), ("it's", r"'it\'s'"), ("range(3)", "'range(3)'"), ("../x.npz", "'../x.npz'"),
        ("${seed}", "'${seed}'"), ("über", "'über'"), (["a", 1], "[a,1]"), ([], "[]"),
        ({"name": "normal", "scale": 0.1}, "{name:normal,scale:0.1}"),
    ],
)  # fmt: skip
def test_a_yaml_value_stays_what_it_is(value: Any, text: str) -> None:
    assert jobs(params={"key": [value]}) == [f"key={text}"]
    (override,) = OverridesParser.create().parse_overrides([f"key={text}"])
    assert override.value() == value
    assert type(override.value()) is type(value)


def test_zip_advances_together() -> None:
    assert jobs(params={"a": [1, 2]}, zip=[{"b": [3, 4], "c": "x,y"}, {"d": "range(2)"}]) == [
        f"a={a} {zipped} d={d}" for a in (1, 2) for zipped in ("b=3 c=x", "b=4 c=y") for d in (0, 1)
    ]


def test_seeds_change_first() -> None:
    assert jobs("a=1,2", seeds=3) == [f"a={a} seed={seed}" for a in (1, 2) for seed in range(3)]


def test_the_command_line_s_seed_replaces_seeds() -> None:
    assert jobs("seed=7", seeds=3) == ["seed=7"]
    assert jobs("seed=1,2", "a=1,2", seeds=3) == [f"seed={seed} a={a}" for seed in (1, 2) for a in (1, 2)]


@pytest.mark.parametrize("command", ["a=9", "++a=9", "+a=9"])
def test_the_command_line_replaces_what_a_file_says(command: str) -> None:
    assert jobs(command, params={"a": [1, 2], "b": [3]}) == [f"b=3 {command}"]
    assert jobs(command, zip=[{"a": [1, 2], "b": [3, 4]}]) == [f"b=3 {command}", f"b=4 {command}"]
    assert jobs(command, unions=[{"params": {"a": [1, 2]}}, {"params": {"b": 3}}]) == [command, f"b=3 {command}"]


def test_the_command_line_may_sweep_what_a_file_sweeps() -> None:
    assert jobs("a=7,8", params={"a": [1, 2, 3]}) == ["a=7", "a=8"]
    assert jobs("~a", params={"a": [1, 2, 3]}) == ["~a"]


def test_unions_are_all_run_beside_what_is_common() -> None:
    unions = [{"params": {"clip": "none"}}, {"params": {"clip": "norm", "clip.threshold": [1, 2]}}]
    assert jobs(params={"a": [1, 2]}, seeds=2, unions=unions) == [
        *(f"a={a} clip=none seed={seed}" for a in (1, 2) for seed in (0, 1)),
        *(f"a={a} clip=norm clip.threshold={t} seed={seed}" for a in (1, 2) for t in (1, 2) for seed in (0, 1)),
    ]


def test_unions_may_have_the_name_that_they_had_before() -> None:
    settings = {"params": {"a": [1, 2]}, "seeds": 2}
    unions = [{"params": {"b": [1, 2]}}, {"params": {"b": 3}, "seeds": 1}]
    assert jobs(**settings, blocks=unions, unions=[]) == jobs(**settings, unions=unions)
    assert refusal(blocks=[{"zip": 3}]) == ["hydra.sweeper.blocks[0].zip=3: must be a list"]
    assert refusal(blocks=unions, unions=unions) == [
        "hydra.sweeper.blocks: the same as hydra.sweeper.unions, which is given too"
    ]


def test_a_union_replaces_what_is_common() -> None:
    common = {"params": {"a": [1, 2]}, "zip": [{"b": [1, 2], "c": [1, 2]}], "seeds": 2}
    assert jobs(**common, unions=[{"params": {"a": 3, "c": 4}, "seeds": 1}]) == [
        "b=1 a=3 c=4 seed=0",
        "b=2 a=3 c=4 seed=0",
    ]
    assert jobs(params={"seed": [5, 6]}, unions=[{"seeds": 1}, {}]) == ["seed=0", "seed=5", "seed=6"]


def test_exclude() -> None:
    grid = {"params": {"a": [1, 2, 3], "b": "x,y"}}
    assert jobs(**grid, exclude=[{"a": 1, "b": "x"}, {"a": [2, 3.0], "b": "y"}]) == ["a=1 b=y", "a=2 b=x", "a=3 b=x"]
    assert jobs(**grid, exclude=[{"a": "range(1,3)"}]) == ["a=3 b=x", "a=3 b=y"]


def test_values_are_excluded_however_they_are_written() -> None:
    swept = "1e-3,0.01,true,1,null,'x'"
    assert jobs(params={"a": swept}, exclude=[{"a": [0.001, True, "x"]}]) == ["a=0.01", "a=1", "a=null"]


def test_a_union_excludes_for_itself() -> None:
    unions = [{"params": {"a": [1, 2]}, "exclude": [{"a": 1}]}, {"params": {"a": [1, 3]}}]
    assert jobs(unions=unions) == ["a=2", "a=1", "a=3"]
    assert jobs(unions=unions, exclude=[{"a": 3}]) == ["a=2", "a=1"]


def test_what_the_command_line_leaves_of_an_exclusion() -> None:
    assert jobs("a=5", params={"a": [1, 2], "b": [1, 2]}, exclude=[{"a": 1, "b": 1}]) == ["b=1 a=5", "b=2 a=5"]


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        ({"seed": 3}, [f"it.seed=3: unknown key; did you mean it.seeds? {SETTINGS}"]),
        ({"unions": [{"unions": []}]}, [f"it.unions[0].unions=[]: unknown key {UNION}"]),
        ({"params": ["a"]}, ["it.params=[a]: must be a mapping"]),
        ({"zip": {"a": [1]}}, ["it.zip={a: [1]}: must be a list"]),
        ({"zip": [3]}, ["it.zip[0]=3: must be a mapping"]),
        ({"exclude": [3]}, ["it.exclude[0]=3: must be a mapping"]),
        ({"zip": [{"a": [1, 2], "b": "1,2,3"}]}, [f"it.zip[0]: {UNEQUAL}: a 2, b 3"]),
        ({"params": {"a": []}, "zip": [{"b": []}]}, ["a=[]: holds no value", "b=[]: holds no value"]),
        ({"params": {"a": "range(0)"}}, ["a=range(0): holds no value"]),
        ({"params": {"a": "range(0,1,0)"}}, ["a=range(0,1,0): range() arg 3 must not be zero"]),
        ({"params": {"a": "range(0,1,0.0)"}}, ["a=range(0,1,0.0): Invalid range values (start:0, stop:1, step:0)"]),
        ({"params": {"a": "interval(0,1)"}}, ["a=interval(0,1): neither a list of values nor a range"]),
        ({"params": {"a": "shuffle(1,2)"}}, [f"a=shuffle(1,2): {SHUFFLE}"]),
        ({"params": {"a": "range(0,10000000)"}}, ["a=range(0,10000000): holds more than 1,000,000 values"]),
        ({"params": {"a": "glob(*)"}}, ["a=glob(*): ConfigLoader is not set"]),
        ({"params": {"a": "[1"}}, [f"a=[1: {UNREAD}"]),
        ({"params": {"hydra.job.name": "x"}}, ["it.params: hydra.job.name can't be swept"]),
        ({"params": {"sweep": "x"}}, ["it.params: sweep can't be swept"]),
        ({"params": {"a": 1}, "zip": [{"a": [1]}]}, ["it: a is swept twice"]),
        ({"params": {"seed": [1, 2]}, "seeds": 2}, ["it: seed is swept twice"]),
        ({"seeds": 0}, [f"it.seeds=0: {COUNT}"]),
        ({"seeds": True}, [f"it.seeds=true: {COUNT}"]),
        ({"seeds": 1.5}, [f"it.seeds=1.5: {COUNT}"]),
        ({"seeds": "3"}, [f"it.seeds='3': {COUNT}"]),
        ({"unions": [{"seeds": 2}, {"seeds": -1}]}, [f"it.unions[1].seeds=-1: {COUNT}"]),
        ({"params": {"a": "range(2000)"}, "seeds": 1000}, ["the sweep has 2,000,000 runs; it may have 1,000,000"]),
        ({"params": {"a": [1, 2]}, "exclude": [{"b": 1}]}, ["it.exclude[0]: b is not swept"]),
        ({"params": {"a": [1, 2]}, "exclude": [{"a": 3}]}, ["it.exclude[0]: no run has this"]),
        ({"params": {"a": [1, 2]}, "exclude": [{"a": [1, 2]}]}, ["exclude: leaves no run"]),
    ],
)  # fmt: skip
def test_refusals_of_settings(settings: dict[str, Any], lines: list[str]) -> None:
    assert refusal(**settings) == [
        line.replace("it.", "hydra.sweeper.").replace("it:", "hydra.sweeper:") for line in lines
    ]


def test_refusals_of_the_command_line() -> None:
    assert refusal("sweep=a,b", "seed=shuffle(range(2))", "x=interval(0,1)", "y=range(1,2,0)") == [
        f"seed=shuffle(range(2)): {SHUFFLE}",
        "x=interval(0,1): neither a list of values nor a range",
        "y=range(1,2,0): range() arg 3 must not be zero",
        "sweep=a,b: one at a time",
    ]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    lines = refusal("a=interval(0,1)", parms={}, seeds=0, unions=[{"zip": 3}])
    assert [line.partition(":")[0] for line in lines] == [
        "a=interval(0,1)", "hydra.sweeper.parms={}", "hydra.sweeper.seeds=0", "hydra.sweeper.unions[0].zip=3"
    ]  # fmt: skip


def test_differing() -> None:
    swept = [["a=1", "+b=x", "c=0"], ["a=1", "b=y", "c=0"], ["a=1", "c=0", "~d"], ["a=1", "c=0", "e='a=b'"]]
    assert find_differing(swept) == [{"b": "x"}, {"b": "y"}, {}, {"e": "'a=b'"}]
    assert find_differing(swept, ["c", "a", "b"])[1:3] == [{"c": "0", "a": "1", "b": "y"}, {"c": "0", "a": "1"}]
    assert find_differing([["a=1"]]) == [{}]
    assert find_differing([]) == []
