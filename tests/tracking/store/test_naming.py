from bptt.tracking.store.params import name_run, name_swept


def test_a_run_is_called_by_its_choices() -> None:
    resolved = {
        "task": {"_target_": "bptt.tasks.temporal_order.TemporalOrder"},
        "model": {"_target_": "bptt.core.models.elman.Elman"},
        "seed": 3,
    }
    assert name_run(resolved) == "temporal_order elman seed=3"


def test_a_run_of_a_sweep_is_called_by_what_was_swept_alone() -> None:
    swept = {"seed": "3", "optimizer.alpha": "0.1", "model": "lstm"}
    assert (
        name_swept(swept, {"seed": "seed", "optimizer.alpha": "alpha", "model": "model"})
        == "alpha=0.1 model=lstm seed=3"
    )
