"""The section on how to repeat everything, from an empty folder to each number.

It holds the commands that repeat a sweep, a run of it and its report, and what the sweep was given from outside of
bptt: files that it reads, choices of the user's own, a changed program.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.report.document import Element, Heading, Listing, Mono, Paragraph, Section
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import PATCH, PROVENANCE
from bptt.tracking.folder.sweep import is_sweep
from bptt.tracking.provenance.environment import shorten_diff

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bptt.analysis.sweep import Sweep

#: What a sweep is told about itself, and no run is made of.
_OF_SWEEPS: Final = (
    *("reuse", "on_error", "question", "solved", "conditions"),
    *("tune", "confirm", "measure", "published", "report"),
)


_WHEREABOUTS: Final = ("hydra.sweep.dir=", "hydra.sweep.subdir=", "hydra.run.dir=")


_TAKE_A_FOLDER: Final = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")


def is_single(sweep: "Sweep") -> bool:
    """Whether it is a run on its own."""
    return sweep.folder is not None and not is_sweep(sweep.folder)


def find_command(sweep: "Sweep") -> list[str]:
    """What trains all of it; empty unknown. Where its folder was to lie is nobody else's."""
    if is_single(sweep):
        return find_run_command(sweep, 0) or []
    return [word for word in sweep.command if not word.startswith(_WHEREABOUTS)]


def name_source(sweep: "Sweep") -> str:
    """What `bptt report` and `bptt reproduce` know it by: a sweep's name, a single run's folder, an id of the store."""
    if sweep.folder is None:
        own, colon, narrowing = sweep.name.partition(":")
        return f"{sweep.run_id or own}{colon}{narrowing}"
    return str(sweep.folder) if is_single(sweep) else sweep.name


def find_run_command(sweep: "Sweep", run: int) -> list[str] | None:
    """What trains one run of the sweep by itself; None: it is not known."""
    overrides = [text for text in sweep.overrides.get(run, []) if text.partition("=")[0] not in _OF_SWEEPS]
    if not overrides:
        return None
    single = []
    options = _find_options(sweep.command)
    # No experiment that is shipped varies something.
    varying = ("sweep=", "experiment=") if options else ("sweep=",)
    if any(text.startswith(varying) for text in overrides):
        # What a file varies is left out, and its values are given here.
        single = ["hydra.mode=RUN", *(["tune=null"] if sweep.tuned else [])]
        single += ["confirm=null"] if "confirming" in sweep.stages else []
    return ["bptt", "train", *options, *overrides, *single]


def list_own_folders(command: Sequence[str]) -> list[str]:
    """The folders with choices of the user's own that a command names."""
    return [value for name, value in _read_options(command) if name in _TAKE_A_FOLDER[:4]]


def _find_options(command: Sequence[str]) -> list[str]:
    return [word for option in _read_options(command) for word in option]


def _read_options(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options with a value, in either form: `--config-dir mine`, `--config-dir=mine`."""
    words = iter(command)
    for word in words:
        name, equals, value = word.partition("=")
        if name in _TAKE_A_FOLDER:
            yield name, value if equals else next(words, "")


@dataclass(frozen=True)
class Inputs:
    """What a repetition needs beside bptt.

    patch     of the program's sources; None: there is none, or it is not at hand
    files     that configurations name: path → SHA-256 of their content when the sweep began
    choices   files with choices of the user's own: path → text
    packages  of the user's own whose classes may be named
    """

    patch: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)


def find_inputs(sweep: "Sweep") -> Inputs:
    """What a sweep was given from outside."""
    allowed = [package for config in sweep.configs.values() for package in config.get("allow") or ()]
    head = None if sweep.recording is None else sweep.recording.head
    return Inputs(
        patch=_read_patch(sweep.folder, sweep.provenance.get("git_diff")),
        files={} if head is None else head.files,
        choices={} if head is None else head.choices,
        packages=list(dict.fromkeys(map(str, allowed))),
    )


def _read_patch(folder: Path | None, noted: object) -> str | None:
    """What the program's work tree differed by; noted: the name of the difference, in what the sweep was made with."""
    if folder is None:
        return None
    path = folder / PATCH
    try:
        text = path.read_bytes().decode()
    except OSError:
        return None
    except ValueError as error:
        raise ArchiveError(f"{path}: can't be read: {error}; delete it to do without") from error
    if noted is not None and shorten_diff(text) != noted:
        raise ArchiveError(f"{path}: not the one that {PROVENANCE} tells of; delete it to do without")
    return text


_LONGEST_PATCH: Final = 300_000  # characters


def write_repeating(sweeps: "Sequence[Sweep]", inputs: "Sequence[Inputs]", options: "Sequence[str]") -> Section:
    """How a stranger who has the report alone repeats it.

    options  of `bptt report`, as they were given
    """
    several = len(sweeps) > 1
    elements: list[Element] = [
        Heading("The program"),
        *_write_installation(sweeps[0], inputs[0]),
        Heading("The sweeps" if several else "The sweep"),
    ]
    for sweep, read in zip(sweeps, inputs, strict=True):
        elements += _write_sweep(sweep, read, several)
    elements += [Heading("The report, and the bits"), *_write_report(sweeps, options)]
    elements += [Heading("What may differ"), *_write_differences()]
    return Section("repeat", "How to repeat it", elements)


def _write_report(sweeps: "Sequence[Sweep]", options: "Sequence[str]") -> list[Element]:
    names = [name_source(sweep) for sweep in sweeps]
    if len(sweeps) > 1:
        return [
            Paragraph(("With the names that the sweeps have now in place of these:",)),
            Listing(_write_end(names, options)),
        ]
    newest = "latest" + "".join(sweeps[0].name.partition(":")[1:])
    after: list[Element] = [
        Paragraph(
            (
                "A sweep ends by writing its report into its folder, below ",
                Mono("multirun/"),
                ". The first command writes it once more; the second trains every run again from what was recorded, and"
                " says of each metric and each weight whether it has the same bits. ",
                Mono("latest"),
                " is the newest sweep.",
            )
        ),
        Listing(_write_end([newest], options)),
    ]
    here: list[Element] = [Paragraph(("Where what was recorded is at hand:",)), Listing(_write_end(names, options))]
    return [*(after if sweeps[0].command and not is_single(sweeps[0]) else []), *here]


def _write_end(names: "Sequence[str]", options: "Sequence[str]") -> str:
    report = shlex.join(["bptt", "report", *names, *options])
    return "\n".join([report, *(shlex.join(["bptt", "reproduce", name]) for name in names)])


def _write_installation(sweep: "Sweep", inputs: "Inputs") -> list[Element]:
    known = sweep.provenance
    packages: Mapping[str, str] = known.get("packages") or {}
    pinned = [f"{name}=={version}" for name, version in sorted(packages.items()) if name != "bptt"]
    python = ".".join(str(known.get("python") or "3").split(".")[:2])
    commit = known.get("git_commit")
    lines = []
    if commit:
        lines.append(shlex.join(["git", "checkout", str(commit)]))
        if known.get("git_dirty"):
            lines.append(f"git apply {PATCH}")
    lines += [f"python{python} -m venv .venv", ". .venv/bin/activate"]
    own = "." if commit else f"bptt=={packages['bptt']}" if "bptt" in packages else "bptt"
    lines.append(shlex.join(["python", "-m", "pip", "install", own, *pinned]))
    told: list[Any] = ["In a clone of bptt's repository, the program as it was, with the packages as they were:"]
    if not commit:
        told = ["The program was not installed from a repository; its version, with the packages as they were:"]
    return [Paragraph(tuple(told)), Listing("\n".join(lines)), *_write_patch(sweep, inputs)]


def _write_patch(sweep: "Sweep", inputs: "Inputs") -> list[Element]:
    if not sweep.provenance.get("git_dirty"):
        return []
    if inputs.patch is None:
        return [Paragraph(("The program differed from its commit by a patch that is not at hand.",))]
    if len(inputs.patch) > _LONGEST_PATCH:
        return [
            Paragraph(
                (
                    Mono(PATCH),
                    f" has {len(inputs.patch):,} characters; it lies beside this report, and in the sweep's folder.",
                )
            )
        ]
    return [Listing(inputs.patch, (Mono(PATCH), ": how the program differed from its commit"), folded=True)]


def _write_sweep(sweep: "Sweep", inputs: "Inputs", named: bool) -> list[Element]:
    elements: list[Element] = []
    if named:
        elements.append(Paragraph((Mono(sweep.name), ":")))
    command = find_command(sweep)
    if not command:
        return [*elements, Paragraph(("The command was not recorded; under Setup stands the whole configuration.",))]
    own = list_own_folders(command)
    if own and inputs.choices:
        elements.append(Paragraph(("The command reads choices that do not come with bptt. These files first:",)))
        elements += [Listing(text, (Mono(name),), folded=True) for name, text in inputs.choices.items()]
    elif own:
        folders = " and ".join(own)
        elements.append(
            Paragraph(
                (
                    "The command reads choices from ",
                    Mono(folders),
                    ", which do not come with bptt; under Setup stands the configuration that was resolved from them.",
                )
            )
        )
    if inputs.files:
        elements.append(Paragraph(("It reads these files, each with its SHA-256:",)))
        elements.append(Listing("\n".join(f"{digest}  {name}" for name, digest in inputs.files.items())))
    if inputs.packages:
        names = ", ".join(inputs.packages)
        elements.append(Paragraph((f"It runs code of packages that do not come with bptt: {names}.",)))
    elements.append(Listing(shlex.join(command)))
    return elements


def _write_differences() -> list[Element]:
    return [
        Paragraph(
            (
                "With the same numerical version every number comes out the same, bit for bit, but for what is measured"
                " in seconds: on any machine that bptt supports, with any version of what it needs. ",
                Mono("bptt report --verify"),
                " compares the SHA-256 of the results above with those of a repetition. Another numerical version has"
                " other last bits, which training magnifies, so that single runs near a boundary may end differently;"
                " shares and medians over seeds stay within their intervals.",
            )
        )
    ]
