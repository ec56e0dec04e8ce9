"""The formats of a report's figures."""

from typing import Final, Literal, get_args

Format = Literal["svg", "png", "pdf"]
#: The first is the one that is written where nothing else is asked for.
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
