"""`bptt doctor`: what runs depend on beside bptt, what is wrong with it, and what mends that."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt import __version__
from bptt.cli.common import Parser, add_store, find_drawn_on
from bptt.printable import make_printable

if TYPE_CHECKING:
    from rich.text import Text

    from bptt.doctor.finding import Finding

_STYLES: Final = {"ok": "green", "note": "yellow", "wrong": "bold red"}


def main(argv: Sequence[str]) -> int:
    """Look at everything and tell. 0: nothing is wrong, 1: something is, 2: a wrong request."""
    parser = Parser(
        "bptt doctor",
        description="Looks at what runs depend on: versions, processor, compiled kernels, the store, sweeps that were"
        " broken off, folders, variables of the environment. Each line is ok, a note, or wrong; at the end stands what"
        " that means and the command that mends it. Nothing is made or changed.",
    )
    add_store(parser, "that of `bptt train`")
    parser.add_argument("--json", action="store_true", help="the same as JSON, for a report of a bug")
    args = parser.parse_args(argv)

    from bptt.doctor.examination import examine_all
    from bptt.tracking.store.address import StoreError, resolve_address

    if args.uri is not None:
        try:
            resolve_address(args.uri)
        except StoreError as error:
            print(str(error).replace("tracking.uri=", "--uri ", 1), file=sys.stderr)
            return 2
    found = examine_all(args.uri)
    if args.json:
        print(json.dumps(_anonymise(_make_report(found)), indent=1))
    else:
        _print(found)
    return int(any(finding.mark == "wrong" for _, finding in _list_all(found)))


def _list_all(found: "Mapping[str, Sequence[Finding]]") -> "Iterator[tuple[str, Finding]]":
    for concern, findings in found.items():
        yield from ((concern, finding) for finding in findings)


def _print(found: "Mapping[str, Sequence[Finding]]") -> None:
    from rich.console import Console

    # Without colours where it is no terminal.
    console = Console(file=find_drawn_on(sys.stdout), soft_wrap=True, highlight=False, markup=False)
    for line in _write_lines(found):
        console.print(line)


def _write_lines(found: "Mapping[str, Sequence[Finding]]") -> "Iterator[Text]":
    from rich.text import Text

    found = {concern: [_make_printable(one) for one in findings] for concern, findings in found.items()}
    for concern, findings in found.items():
        yield Text(concern, "bold")
        width = max((len(finding.subject) for finding in findings), default=0)
        for finding in findings:
            mark = Text(f"  {finding.mark:<5}  ", _STYLES[finding.mark])
            yield mark.append(f"{finding.subject:<{width}}  {finding.says}".rstrip(), "default")
    yield Text()
    troubles = [(concern, finding) for concern, finding in _list_all(found) if finding.mark != "ok"]
    for concern, finding in sorted(troubles, key=lambda trouble: trouble[1].mark == "note"):
        mark = Text(f"{finding.mark:<5}  ", _STYLES[finding.mark])
        yield mark.append(f"{concern}, {finding.subject}: {finding.means}", "default")
        if finding.command:
            yield Text(f"       {finding.command}", "bold")
    wrong = sum(finding.mark == "wrong" for _, finding in troubles)
    yield Text(f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong" if wrong else "nothing is wrong")


def _make_printable(finding: "Finding") -> "Finding":
    return replace(
        finding,
        subject=make_printable(finding.subject),
        says=make_printable(finding.says),
        means=make_printable(finding.means),
        command=make_printable(finding.command),
    )


def _make_report(found: "Mapping[str, Sequence[Finding]]") -> dict[str, Any]:
    from bptt.tracking.provenance.environment import describe_environment

    try:
        known: dict[str, Any] | None = describe_environment()
    except Exception:  # what is wrong with it stands among the findings
        known = None
    findings = [{"concern": concern, **asdict(finding)} for concern, finding in _list_all(found)]
    return {"bptt": __version__, "findings": findings, "environment": known}


def _anonymise(value: Any) -> Any:
    """The same without the path of the user's own folder, which tells their name."""
    if isinstance(value, str):
        return value.replace(str(Path.home()), "~")
    if isinstance(value, Mapping):
        return {key: _anonymise(inner) for key, inner in value.items()}
    return [_anonymise(inner) for inner in value] if isinstance(value, list) else value
