import pytest

from bptt.analysis.tables import drop_seed, read_values, shorten_keys


def test_a_key_is_shortened_as_far_as_it_stays_apart_from_the_others() -> None:
    keys = ["init.scale", "init.recurrent.scale", "optimizer.alpha", "model"]
    assert shorten_keys(keys) == {
        "init.scale": "init.scale",
        "init.recurrent.scale": "init.recurrent.scale",
        "optimizer.alpha": "alpha",
        "model": "model",
    }


def test_a_setting_is_without_its_seed() -> None:
    assert drop_seed(["optimizer.alpha", "seed", "task.data_seed"]) == ["optimizer.alpha", "task.data_seed"]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "20"], [1, 20]),
        (["1", "1e-3"], [1, 0.001]),
        (["0.5", None], [0.5, None]),
        (["1", "null"], ["1", "null"]),
        (["0.1", "nan"], ["0.1", "nan"]),
        (["elman", "'a b'"], ["elman", "a b"]),
        (["true", "false"], ["true", "false"]),
        ([], []),
    ],
)
def test_values_are_numbers_where_all_of_them_are(texts: list[str | None], values: list[object]) -> None:
    assert read_values(texts) == values
