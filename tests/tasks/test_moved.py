"""Runs that were recorded when tasks stood elsewhere are built as ever."""

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.tasks.moved import update_target


def test_a_task_that_stood_elsewhere_is_found_and_told_of_by_its_name_of_today() -> None:
    today = check_configuration(compose(["task=sine"]))
    before = {**today.resolved, "task": {**today.resolved["task"], "_target_": "bptt.tasks.sine.Sine"}}
    built = check_configuration(before, ())
    assert built.run.task == today.run.task
    assert built.resolved == today.resolved
    assert built.resolved["task"]["_target_"] == "bptt.tasks.series.sine.Sine"


def test_other_names_stay_as_they_are() -> None:
    for name in ("bptt.tasks.memory.adding.Adding", "my_parts.sine.Sine", "bptt.core.models.gru.Gru"):
        assert update_target(name) == name
