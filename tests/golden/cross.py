"""Kernels compiled here for another processor: `python -m tests.golden.arm` needs them.

On an emulated processor Numba, which is Python for the most part, compiles some twenty times as slowly. LLVM generates
code for any processor on any; so what a run calls is compiled here, into the folder where the other one looks, for
exactly the processor that it says it is. What it calls beside is compiled there, as ever.

`list` runs some of the golden runs on this processor and writes which kernels they call; `compile` compiles these.
"""

import argparse
import gc
import importlib
import json
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import llvmlite.binding as llvm

#: On the other processor: what Numba compiles for there, and how wide vectors are.
ASK = """
import json
from numba.core.registry import cpu_target
from bptt.core.simd import WIDTH
print(json.dumps([*cpu_target.target_context.codegen().magic_tuple(), WIDTH]))
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden.cross", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list")
    listing.add_argument("kernels", type=Path)
    listing.add_argument("--every", type=int, default=1)
    listing.add_argument("--only")
    compiling = commands.add_parser("compile")
    compiling.add_argument("kernels", type=Path)
    compiling.add_argument("processor", type=json.loads, help="[triple, name, features]")
    args = parser.parse_args(arguments)
    if args.command == "list":
        args.kernels.write_text(json.dumps(list_called(args.only, args.every)))
    else:
        compile_for(args.processor, json.loads(args.kernels.read_text()))
    return 0


def list_called(only: str | None, every: int) -> list[tuple[str, str, str]]:
    """(module, function, mode) of the kernels that these golden runs call."""
    from tests.golden.runs import choose, hash_all

    with TemporaryDirectory() as folder:
        for _ in hash_all(choose(only, every), Path(folder)):
            pass
    return sorted((*key, mode) for key, kernel in _find_kernels().items() for mode in kernel._compiled)


def compile_for(processor: Sequence[str], wanted: Sequence[tuple[str, str, str]]) -> None:
    """Compile kernels for another processor, (triple, name, features); nothing can be called in this process then."""
    triple, cpu, features = processor
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple)

    class Features(dict[str, bool]):
        def flatten(self, sort: bool = True) -> str:
            return features

    # All that Numba asks of this machine, before it is imported.
    llvm.get_process_triple = lambda: triple
    llvm.get_host_cpu_name = lambda: cpu
    llvm.get_host_cpu_features = Features
    llvm.Target.from_default_triple = classmethod(lambda _: target)
    import bptt.core

    for found in pkgutil.walk_packages(bptt.core.__path__, "bptt.core."):
        importlib.import_module(found.name)
    kernels = _find_kernels()
    for module, function, mode in wanted:
        kernels[module, function].compile(mode)


def _find_kernels() -> dict[tuple[str, str], Any]:
    """Those for all shapes, of the modules that are imported, by the functions of which they were made."""
    from bptt.core.kernel import Kernel

    found = [one for one in gc.get_objects() if type(one) is Kernel]
    return {(one.dispatcher.py_func.__module__, one.dispatcher.py_func.__qualname__): one for one in found}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
