"""What was swept is told as the resolved configuration has it, however it was typed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import bptt
from bptt.configuration.compose import Composer
from bptt.configuration.hydra import version_base
from bptt.configuration.vocabulary import find_conf_folder
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.grammar import expand
from bptt.sweeps.jobs.plan import PlannedRun, drop_repeated, find_swept, shorten_values


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    with initialize_config_dir(str(find_conf_folder()), job_name="bptt", **version_base()):
        yield Composer(GlobalHydra.instance().config_loader(), "config")


def plan(composer: Composer, overrides: list[str]) -> list[PlannedRun]:
    jobs = expand({}, overrides, composer.loader)
    return drop_repeated(list(zip(jobs, Composition(composer).all(jobs), strict=True)), "version")[0]


ALPHA, LIMIT = "optimizer.alpha", "clip.threshold"


@pytest.mark.parametrize(
    ("typed", "swept"),
    [
        (
            [f"{ALPHA}='${{{LIMIT}}}',0.3", "clip=norm", f"{LIMIT}=0.1,0.5"],
            {ALPHA: ["0.1", "0.5", "0.3", "0.3"], LIMIT: ["0.1", "0.5", "0.1", "0.5"]},
        ),
        ([f"{ALPHA}=${{{LIMIT}}},0.3", "clip=norm", f"{LIMIT}=0.5"], {ALPHA: ["0.5", "0.3"]}),
        ([f"{ALPHA}=1,1e-1,0.30000000000000004,0.1"], {ALPHA: ["1.0", "0.1", "0.30000000000000004"]}),
        ([f"{ALPHA}=range(0.5,2,0.5)"], {ALPHA: ["0.5", "1.0", "1.5"]}),
        (["train.updates=1e2,200"], {"train.updates": ["100", "200"]}),
        (["train.truncation=null,3"], {"train.truncation": ["null", "3"]}),
        (["train.carry_state=true,False,True"], {"train.carry_state": ["true", "false"]}),
        (["task=leftbit", "task.stream='0 1 0 1','1 0 1 1'"], {"task.stream": ["'0 1 0 1'", "'1 0 1 1'"]}),
        (["model='lstm',gru", "model.hidden_size=choice(4)"], {"model": ["lstm", "gru"]}),
        (["clip=glob(no*)"], {"clip": ["none", "norm"]}),
        (
            ["init.recurrent={name: normal, scale: 1e-1},orthogonal,2,null"],
            {"init.recurrent": ["{name:normal,scale:0.1}", "orthogonal", "2", "null"]},
        ),
        (["init.input=${init.recurrent},orthogonal", "init.recurrent=0.5"], {"init.input": ["0.5", "orthogonal"]}),
        (
            ["init.input={name: normal, scale: 2}", "init.recurrent=${init.input},identity"],
            {"init.recurrent": ["{name:normal,scale:2.0}", "identity"]},
        ),
        (["model=lstm", "init.gate_bias.forget=1,2.5,null"], {"init.gate_bias.forget": ["1.0", "2.5", "null"]}),
        # What follows another key is not swept itself, and what comes to one value is not either.
        (["model.hidden_size=${train.batch_size}", "train.batch_size=3,4"], {"train.batch_size": ["3", "4"]}),
        ([f"{ALPHA}=0.1,1e-1", "seed=0,1"], {"seed": ["0", "1"]}),
    ],
)
def test_as_the_configuration_has_it(composer: Composer, typed: list[str], swept: dict[str, list[str]]) -> None:
    found = find_swept(plan(composer, typed))
    assert {key: [values[key] for values in found] for key in found[0]} == swept


def test_the_keys_of_a_search(composer: Composer) -> None:
    runs = plan(composer, [f"{ALPHA}=${{{LIMIT}}}", "clip=norm", f"{LIMIT}=0.25", "seed=1"])
    assert find_swept(runs, [ALPHA, "seed"]) == [{ALPHA: "0.25", "seed": "1"}]


def test_numbers_in_names_are_short_unless_they_would_look_alike() -> None:
    texts = ["1.0", "1000000000.0", "0.14285714285714285", "null", "1000000", "'0.1'"]
    assert [*shorten_values(texts).values()] == ["1", "1e+09", "0.142857", "null", "1000000", "'0.1'"]
    alike = ["0.3", "0.30000000000000004", "2.5"]
    assert shorten_values(alike) == {text: text for text in alike}


def test_tables_and_names_have_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["task=leftbit", "train.updates=2", "train.log_points=2", "tracking.enabled=false", "report=false"]
    swept = [f"{ALPHA}='${{{LIMIT}}}',0.3", "clip=norm", f"{LIMIT}=0.1,0.5", "hydra.launcher.workers=1"]
    runs = bptt.sweep([*small, *swept]).runs
    assert runs[ALPHA].tolist() == [0.1, 0.5, 0.3, 0.3]
    assert runs[LIMIT].tolist() == [0.1, 0.5, 0.1, 0.5]
    assert runs["name"].tolist() == [
        "alpha=0.1 threshold=0.1", "alpha=0.5 threshold=0.5", "alpha=0.3 threshold=0.1", "alpha=0.3 threshold=0.5"
    ]  # fmt: skip
