"""The pages of the families of choices: every choice stands on its page, and the numbers there come from the runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.vocabulary import find_conf_folder
from docs.draw_families.__main__ import MARKS, replace_numbers
from docs.draw_families.choices import COMMON, FAMILIES, LAG
from docs.draw_families.drawing import measure, measure_schedules, settle, write_numbers

PAGES = Path(__file__).parents[2] / "docs" / "families"
GROUPS = {
    "starts": "init",
    "cells": "model",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "regularizers": "regularizer",
}


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_choice_of_the_group_stands_on_its_page(name: str) -> None:
    told = set(re.findall(r"`([a-z_0-9]+)`", page(name)))
    assert {path.stem for path in (find_conf_folder() / GROUPS[name]).glob("*.yaml")} - told == set()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_table_has_a_row_for_each_line_of_the_picture(name: str) -> None:
    table = page(name).partition(MARKS[0])[2].partition(MARKS[1])[0].strip().splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in table[2:]] == [*FAMILIES[name].choices]
    assert f"(../figures/family_{name}.png)" in page(name)


@pytest.mark.slow
def test_all_choices_are_runs() -> None:
    for family in FAMILIES.values():
        for own in family.choices.values():
            check_configuration(compose(settle([*COMMON, *family.common, *own])))


def test_numbers_are_replaced_between_their_marks_alone() -> None:
    text = f"before\n{MARKS[0]}old\n{MARKS[1]}after"
    assert replace_numbers(text, "| new |") == f"before\n{MARKS[0]}\n| new |\n\n{MARKS[1]}after"
    with pytest.raises(ValueError, match="the page has no"):
        replace_numbers("before\nafter", "| new |")


@pytest.mark.slow
def test_the_measured_schedule_is_the_formula() -> None:
    shares = measure_schedules(FAMILIES["schedules"])
    u = np.arange(1, 1002)
    np.testing.assert_allclose(shares["cosine"], (1 + np.cos(np.pi * (u - 1) / 1000)) / 2, atol=1e-9)
    np.testing.assert_allclose(shares["inverse_sqrt"], np.where(u < 100, u / 100, np.sqrt(100 / u)), rtol=1e-9)


@pytest.mark.slow(seconds=30)
def test_the_page_s_numbers_are_those_of_the_runs() -> None:
    family = FAMILIES["regularizers"]
    flows = measure(family)
    assert write_numbers(flows) in page("regularizers")
    assert flows["none"][1, LAG] < 1e-12 < 0.1 < flows["omega, 4"][1, LAG]
