from bptt.tracking.store.params import list_swept


def test_what_differs_was_swept_and_the_seed_is_last() -> None:
    params = [{"seed": str(seed), "optimizer.alpha": alpha, "train.updates": "9"} for seed in (0, 1) for alpha in "12"]
    values = list_swept(params)
    assert values[1] == {"optimizer.alpha": "2", "seed": "0"}
    assert list(values[0]) == ["optimizer.alpha", "seed"]


def test_what_follows_from_a_choice_was_not_swept() -> None:
    elman = {"model": "elman", "model._target_": "…Elman", "model.hidden_size": "8", "seed": "0"}
    lstm = {"model": "lstm", "model._target_": "…LSTM", "model.hidden_size": "8", "model.reset": "after", "seed": "0"}
    assert list_swept([elman, lstm]) == [{"model": "elman"}, {"model": "lstm"}]
    larger = {**lstm, "model.hidden_size": "9"}
    assert list_swept([elman, lstm, larger])[2] == {"model": "lstm", "model.hidden_size": "9"}


def test_an_experiment_is_a_choice_of_many_values() -> None:
    one = {"experiment": "a", "task._target_": "A", "optimizer.alpha": "1", "seed": "0"}
    other = {"experiment": "b", "task._target_": "B", "optimizer.alpha": "2", "seed": "1"}
    assert list_swept([one, other]) == [{"experiment": "a", "seed": "0"}, {"experiment": "b", "seed": "1"}]


def test_where_runs_are_kept_is_no_difference() -> None:
    assert list_swept([{"tracking.uri": "a"}, {"tracking.uri": "b"}]) == [{}, {}]


def test_one_run_varies_in_nothing() -> None:
    assert list_swept([{"seed": "3"}]) == [{}]
    assert list_swept([]) == []
