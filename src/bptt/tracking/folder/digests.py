"""Digests: what tells that a file is as it was written, to its last bit."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

_KEY: Final = "sha256"

_ALTERED: Final = "not as it was written: a bit was flipped, or it was edited"


def hash_content(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    return sha256(content).hexdigest()


def check_content(content: bytes, digest: str | None) -> None:
    """Raise ValueError where a content is not the one with this digest; None: it is not known, any is taken."""
    if digest is not None and hash_content(content) != digest:
        raise ValueError(_ALTERED)


def dump_sealed(noted: Mapping[str, Any]) -> str:
    """The JSON text of what is noted, with a digest of it beside the other keys."""
    return json.dumps({**noted, _KEY: _seal(noted)}, indent=1) + "\n"


def load_sealed(text: str) -> dict[str, Any]:
    """What `dump_sealed` was given. A text without a digest, as earlier versions wrote it, is taken as it is.

    Raises ValueError where it is no mapping, or not as it was written.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("holds no mapping")
    seal = found.pop(_KEY, None)
    # Where its key itself was damaged, the digest stands under another one.
    like_it = [key for key, value in found.items() if seal is None and re.fullmatch("[0-9a-f]{64}", str(value))]
    renamed = any(_seal({k: v for k, v in found.items() if k != key}) == found[key] for key in like_it)
    if renamed or (seal is not None and seal != _seal(found)):
        raise ValueError(f"{_ALTERED}; if by you, take out its line {_KEY}")
    return found


def _seal(noted: Mapping[str, Any]) -> str:
    return hash_content(json.dumps(noted, sort_keys=True).encode())
