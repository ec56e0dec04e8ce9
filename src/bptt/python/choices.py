"""Objects that stand for choices: `task=Arrays(x, y)`, `optimizer=Adam(…)`, or an object of the user's own class.

One of bptt's own classes is written as the choice that makes it, with what it says otherwise. For any other a file of
choices is written, as the user would have in a folder of `--config-dir`; that it was handed over allows its package.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self

from omegaconf import OmegaConf

from bptt.configuration.components import describe
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.vocabulary import find_conf_folder, list_choices
from bptt.tracking.provenance.digest import find_package

#: Groups of which an object may be handed over.
_GROUPS: Final = ("task", "model", "loss", "optimizer", "schedule", "regularizer", "clip", "init")
_PATH: Final = "path"


class ObjectChoices:
    """The choices that objects stand for, from entering to leaving.

    data  makes the folder into which a task with data in memory writes them
    own   the folder with the files of choices; None: there are none
    """

    def __init__(self, data: Callable[[], Path]) -> None:
        self._data = data
        self._temporary: TemporaryDirectory[str] | None = None
        self.allowed: dict[str, None] = {}
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def own(self) -> Path | None:
        """The folder of the files; None: there are none."""
        return None if self._temporary is None else Path(self._temporary.name)

    def is_choice(self, key: str, value: Any) -> bool:
        """Whether a value is an object that stands for a choice of a group."""
        return key in _GROUPS and dataclasses.is_dataclass(value) and not isinstance(value, type)

    def write(self, group: str, made: Any, write: Callable[[Any], str]) -> list[str]:
        """The overrides by which an object is chosen; write: makes the text of a value."""
        node = self._describe(group, made)
        for name, path in list_choices(group, [find_conf_folder()]).items():
            shipped = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
            assert isinstance(shipped, dict)
            if shipped.get("_target_") == node["_target_"]:
                others = {key: value for key, value in node.items() if key not in shipped or shipped[key] != value}
                more = [f"{'' if key in shipped else '++'}{group}.{key}={write(others[key])}" for key in others]
                return [f"{group}={name}", *more]
        return [f"{group}={self._put(group, node)}"]

    def add(self, group: str, made: Any) -> str:
        """The name of the choice that an object stands for, in a file of its own; a name stays as it is."""
        return made if isinstance(made, str) else self._put(group, self._describe(group, made))

    def _describe(self, group: str, made: Any) -> dict[str, Any]:
        """The node from which an equal object is made. Raises ConfigurationError."""
        save = getattr(made, "save", None)
        try:
            node = describe(made)
            if callable(save) and node.get(_PATH) is None:  # its data are in memory
                node[_PATH] = str(save(self._data()))
        except (TypeError, ValueError) as error:
            says = f"{group}={type(made).__name__}(…): a field of it has no place in a configuration: {error}"
            raise ConfigurationError([says]) from None
        if (package := find_package(str(node["_target_"]))) is not None:
            self.allowed[package] = None
        return node

    def _put(self, group: str, node: Mapping[str, Any]) -> str:
        if self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="bptt-choices-")
        name = f"{str(node['_target_']).rpartition('.')[2].lower()}_{self._count}"
        self._count += 1
        folder = Path(self._temporary.name) / group
        folder.mkdir(exist_ok=True)
        OmegaConf.save(OmegaConf.create(dict(node)), folder / f"{name}.yaml")
        return name
