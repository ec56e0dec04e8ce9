"""Keys have names that people read, one for each."""

from bptt.analysis.names import _KEYS, explain_key, name_key


def test_known_keys_have_names_and_others_are_called_as_they_are() -> None:
    assert name_key("model.hidden_size", "hidden_size") == "hidden units"
    assert name_key("optimizer.alpha", "alpha") == "learning rate α"
    assert name_key("task.own", "own") == "own"
    assert explain_key("init.scale") == "how large weights start"
    assert explain_key("model.hidden_size") == "hidden units"
    assert explain_key("task.own") == ""


def test_no_name_is_given_twice() -> None:
    names = [name for name, _ in _KEYS.values()]
    assert len(set(names)) == len(names)
