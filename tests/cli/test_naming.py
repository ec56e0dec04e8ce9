from bptt.cli.naming import run_name, swept_values

RESOLVED = {
    "task": {"_target_": "bptt.tasks.temporal_order.TemporalOrder"},
    "model": {"_target_": "bptt.core.models.elman.Elman"},
    "seed": 3,
}


def test_a_run_is_called_by_its_choices() -> None:
    assert run_name(RESOLVED) == "temporal_order elman seed=3"


def test_a_run_of_a_sweep_is_called_by_what_was_swept() -> None:
    overrides = ["train.updates=10", "optimizer.alpha=0.1", "model=elman", "init.bias=0", "seed=3"]
    argv = [
        "-m",
        "train.updates=10",
        "optimizer.alpha=0.1,0.2",
        "model=elman,gru",
        "seed=range(5)",
        "--config-dir",
        "x",
    ]
    swept = swept_values(overrides, argv, {"init.bias": "0,1"})
    assert swept == ["optimizer.alpha=0.1", "model=elman", "init.bias=0", "seed=3"]
    assert run_name(RESOLVED, swept) == "temporal_order elman optimizer.alpha=0.1 init.bias=0 seed=3"


def test_a_command_line_that_cannot_be_read_names_nothing() -> None:
    assert swept_values(["a=1"], ["a=1,{"]) == []
