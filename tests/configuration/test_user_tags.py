"""Tags that a user gives: what they may be called, and that no number follows them."""

import pytest

from bptt.configuration.build import check_configuration
from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.tracking.provenance.digest import compute_digest
from bptt.tracking.store.tags import flatten_config


def test_tags_are_texts_by_name_and_change_neither_digest_nor_params() -> None:
    plain = check_configuration(compose(["task=xor"]))
    tagged = check_configuration(compose(["task=xor", "tags.study=pilot", "tags.n=3", "tags.final=true", "tags.a.b=x"]))
    assert tagged.tags == {"study": "pilot", "n": "3", "final": "true", "a.b": "x"}
    assert tagged.resolved == plain.resolved | {"tags": tagged.tags}
    assert "tags" not in plain.resolved
    assert compute_digest(tagged.resolved, "v") == compute_digest(plain.resolved, "v")
    assert flatten_config(tagged.resolved) == flatten_config(plain.resolved)
    assert check_configuration(tagged.resolved).tags == tagged.tags  # as it is read back
    assert check_configuration(compose(["tags.study=null"])).tags == {}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("tags=pilot", "tags=pilot: must be a mapping of names to texts, as tags.study=pilot"),
        ("tags.mlflow.user=x", "tags.mlflow.user=x: tags named mlflow.… or bptt.… are MLflow's and bptt's own; name"),
        ("tags.BPTT=x", "tags.BPTT=x: tags named mlflow.… or bptt.… are MLflow's and bptt's own; name it otherwise"),
        ("tags.a=[1,2]", "tags.a=[1, 2]: must be a text; quote a list: tags.units='[4, 8]'"),
        ("tags.a=''", "tags.a='': must be a text that is not empty; null: no tag"),
        ("tags={a/b: x}", "tags.a/b=x: a tag's name has letters, digits, _, - and single dots alone"),
        (f"tags.{'a' * 201}=x", "a tag's name has at most 200 characters"),
        (f"tags.a={'x' * 4001}", "must be a text of at most 4,000 characters"),
        ("tag.study=pilot", "tag={study: pilot}: unknown key; did you mean tags?"),
    ],
)
def test_what_they_can_not_be_is_said_in_a_line(given: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_configuration(compose([given]))
    (line,) = caught.value.lines
    assert says in line
