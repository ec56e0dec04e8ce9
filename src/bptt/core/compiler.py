"""How kernels are compiled, and all that is taken from within Numba rather than from what it documents.

Numba optimises and assembles every function that it compiles, and again each function that calls it, with all it has
inlined: six levels of helpers under one kernel cost six times the work, some 40 s for a cell. A helper here stops short
of that. Its code is handed on as it was generated, and only the kernel at the top is optimised and assembled, once.

LLVM is asked for small code. What it would unroll are loops over few units or timesteps around long bodies; a network
of a few units takes 1.4 times as long where its kernels do not fit the cache of instructions. The loops that have most
of the work, `simd.blocks`, are functions of their own and are unrolled.

A release of Numba may lack what the quick way or the cache on disk is made of. Then functions are compiled in Numba's
usual way, or by each process for itself: slower, with the same bits. `lacking` says so in a sentence each.
"""

import contextlib
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import numba
from llvmlite import ir
from numba import njit
from numba.extending import infer_getattr, lower_builtin, lower_getattr_generic

from bptt.core.annotations import InvalidValue

_TESTED: Final = "0.67 and 0.68"
_KERNELS: Final = (
    "numba.core.callconv:CPUCallConv.call_function",
    "numba.core.callconv:CPUCallConv.get_function_type",
    "numba.core.codegen:JITCodeLibrary.get_pointer_to_function",
    "numba.core.typing.templates:AbstractTemplate",
    "numba.core.typing.templates:AttributeTemplate",
    "numba.core.typing.templates:infer_global",
)
_STEPS: Final = (
    "numba._dynfunc:make_function",
    "numba.core.codegen:JITCodeLibrary._get_module_for_linking",
    "numba.core.codegen:JITCodeLibrary._raise_if_finalized",
    "numba.core.codegen:JITCodeLibrary.enable_object_caching",
    "numba.core.compiler:CompilerBase.define_pipelines",
    "numba.core.compiler:DefaultPassBuilder.define_nopython_pipeline",
    "numba.core.compiler_machinery:register_pass",
    "numba.core.lowering:Lower.setup_function",
    "numba.core.typed_passes:NativeLowering.lowering_class",
    "numba.core.typed_passes:NativeLowering.run_pass",
)
_CACHE: Final = (
    "numba.core.caching:CompileResultCacheImpl._locator_classes",
    "numba.core.caching:FunctionCache._guard_against_spurious_io_errors",
    "numba.core.caching:FunctionCache._impl_class",
    "numba.core.caching:FunctionCache._index_key",
    "numba.core.caching:FunctionCache._load_overload",
    "numba.core.caching:IndexDataCacheFile._load_index",
    "numba.core.caching:_CacheLocator.from_function",
    "numba.core.caching:_CacheLocator.get_cache_path",
    "numba.core.caching:_CacheLocator.get_disambiguator",
    "numba.core.caching:_CacheLocator.get_source_stamp",
    "numba.core.runtime.nrt:rtsys.initialize",
)
#: What is done otherwise because this Numba lacks something, in a sentence each.
lacking: list[str] = []


def _absent(places: Sequence[str]) -> list[str]:
    """What is not there of places within Numba, each `module:name`, in full."""
    absent: dict[str, None] = {}
    for place in places:
        module, _, names = place.partition(":")
        so_far = module
        try:
            found = importlib.import_module(module)
            for name in names.split("."):
                so_far = f"{so_far}.{name}"
                found = getattr(found, name)
        except (ImportError, AttributeError):
            absent[so_far] = None
    return list(absent)


def _has(places: Sequence[str], otherwise: str) -> bool:
    absent = _absent(places)
    if absent:
        lacking.append(
            f"numba {numba.__version__} has no {' and no '.join(absent)}, so {otherwise}: bptt is tested with {_TESTED}"
        )
    return not absent


def check_numba() -> None:
    """Raise InvalidValue where this Numba lacks what no kernel can do without."""
    absent = _absent(_KERNELS)
    if absent:
        says = f"has no {' and no '.join(absent)}, of which kernels are made: bptt is tested with {_TESTED}"
        raise InvalidValue("numba", numba.__version__, says)


check_numba()

Typer = Callable[[tuple[Any, ...]], Any]


def define_operator(operator: Any, arguments: Sequence[Any], typer: Typer, lower: Callable[..., Any]) -> None:
    """Give a Python operator a meaning in kernels.

    typer  of the arguments' types makes the signature, None where something else is meant
    lower  (context, builder, signature, values) generates the code for `arguments`, to which others are cast
    """
    from numba.core.typing.templates import AbstractTemplate, infer_global

    def generic(self, args, kws):
        return typer(tuple(args))

    infer_global(operator)(type(f"Operator_{operator.__name__}", (AbstractTemplate,), {"generic": generic}))
    lower_builtin(operator, *arguments)(lower)


def define_attributes(kind: type, typer: Callable[[Any, str], Any], lower: Callable[..., Any]) -> None:
    """Give a type of ours its attributes in kernels.

    typer  of the type and an attribute's name makes the attribute's type
    lower  (context, builder, type, value, name) generates the code that reads it
    """
    from numba.core.typing.templates import AttributeTemplate

    def generic_resolve(self, of, name):
        return typer(of, name)

    infer_getattr(
        type(f"Attributes_{kind.__name__}", (AttributeTemplate,), {"key": kind, "generic_resolve": generic_resolve})
    )
    lower_getattr_generic(kind)(lower)


def declare(builder: Any, kind: ir.FunctionType, name: str) -> Any:
    """The function of LLVM's that has this name."""
    known = builder.module.globals
    return known[name] if name in known else ir.Function(builder.module, kind, name)


def constant_table(builder: Any, name: str, values: ir.Constant) -> Any:
    """A pointer to an array of constants."""
    table = ir.GlobalVariable(builder.module, values.type, builder.module.get_unique_name(name))
    table.linkage = "internal"
    table.global_constant = True
    table.initializer = values
    return table


def call_at(context: Any, builder: Any, address: Any, signature: Any, values: Any) -> Any:
    """Call the function at an address with a tuple of values."""
    convention = context.call_conv
    kind = convention.get_function_type(signature.return_type, signature.args)
    pointer = builder.inttoptr(address, kind.as_pointer())
    given = [builder.extract_value(values, place) for place in range(len(values.type.elements))]
    _, result = convention.call_function(builder, pointer, signature.return_type, signature.args, given)
    return result


def call_helper(context: Any, builder: Any, helper: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Any:
    """Call a helper from the code generator of an intrinsic: its code is linked in, to be inlined."""
    function = context.typing_context.resolve_value_type(helper)
    signature = context.typing_context.resolve_function_type(function, tuple(kinds), {})
    implementation = context.get_function(function, signature)
    cast = [
        context.cast(builder, value, kind, to) for value, kind, to in zip(values, kinds, signature.args, strict=True)
    ]
    return implementation(builder, cast)


def address_of(result: Any) -> int:
    """Where the machine code of a compile result begins."""
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


def _quick_ways() -> tuple[Any, Any]:
    """How helpers and how kernels are compiled."""
    from numba import _dynfunc
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import CompilerBase, DefaultPassBuilder
    from numba.core.compiler_machinery import register_pass
    from numba.core.lowering import Lower
    from numba.core.typed_passes import NativeLowering

    class SmallLower(Lower):
        def setup_function(self, fndesc: Any) -> None:
            super().setup_function(fndesc)
            self.function.attributes.add("optsize")

    @register_pass(mutates_CFG=True, analysis_only=False)
    class KernelLowering(NativeLowering):
        """Generate code for a kernel, to be kept small."""

        _name = "kernel_lowering"

        @property
        def lowering_class(self) -> type[Lower]:
            return SmallLower

    class HelperLibrary(JITCodeLibrary):
        """Code that is linked into others and never runs by itself."""

        def finalize(self) -> None:
            self._raise_if_finalized()
            for library in dict.fromkeys(self._linking_libraries):
                self._reload_init.update(library._reload_init)
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
            self._finalized = True

    @register_pass(mutates_CFG=True, analysis_only=False)
    class HelperLowering(NativeLowering):
        """Generate code for a helper, but no machine code."""

        _name = "helper_lowering"

        def run_pass(self, state: Any) -> bool:
            state.library = HelperLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.enable_object_caching()
            flags, state.flags = state.flags, state.flags.copy()
            state.flags.no_compile = True
            super().run_pass(state)
            state.flags = flags
            result = state["cr"]
            name = result.fndesc.qualname.split(".")[-1]
            # Numba finds a callee by its entry point; this one is a name without an address.
            entry = _dynfunc.make_function(result.fndesc.lookup_module(), name, "", 0, result.env, (state.library,))
            state.targetctx.insert_user_function(entry, result.fndesc, [state.library])
            state["cr"] = result._replace(cfunc=entry)
            return True

    def compiler(lowering: type[NativeLowering]) -> type[CompilerBase]:
        """Numba's compiler with another last step."""

        class Compiler(CompilerBase):
            def define_pipelines(self) -> list[Any]:
                pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
                pipeline.passes = [(lowering if step is NativeLowering else step, why) for step, why in pipeline.passes]
                pipeline._finalized = False
                pipeline.finalize()
                return [pipeline]

        return Compiler

    helper = njit(
        forceinline=True,
        error_model="numpy",
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=compiler(HelperLowering),
    )
    return helper, njit(nogil=True, error_model="numpy", pipeline_class=compiler(KernelLowering))


if _has(_STEPS, "compiling the kernels takes several times as long"):
    inline, kernel = _quick_ways()
else:
    inline, kernel = njit(error_model="numpy"), njit(nogil=True, error_model="numpy")


class Place(Protocol):
    """Where the compiled forms of a function are kept, and what they belong to."""

    def folder(self) -> Path:
        """Where they are."""
        ...

    def stamp(self) -> str:
        """What they were compiled from; of another one, they are of no use."""
        ...

    def name(self) -> str:
        """What tells this function from those of its name in other modules."""
        ...


def disk_cache(place_of: Callable[[Callable[..., Any]], Place]) -> Any:
    """Numba's cache of one function, in a folder and under a key of our own; None where this Numba has none such.

    An instance is made of a function; `holds(signature, dispatcher)` says whether a kernel is kept for this processor,
    as a folder that was copied may be another's.
    """
    if not _has(_CACHE, "every process compiles its own kernels"):
        return None
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
    from numba.core.runtime.nrt import rtsys

    class Locator(_CacheLocator):
        def __init__(self, place: Place) -> None:
            self._place = place

        @classmethod
        def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "Locator":  # noqa: ARG003 (Numba's)
            return cls(place_of(py_func))

        def get_cache_path(self) -> str:
            return str(self._place.folder())

        def get_source_stamp(self) -> str:
            return self._place.stamp()

        def get_disambiguator(self) -> str:
            return self._place.name()

    class CacheImpl(CompileResultCacheImpl):
        _locator_classes: ClassVar = [Locator]

    class Cache(FunctionCache):
        _impl_class = CacheImpl

        def _guard_against_spurious_io_errors(self) -> contextlib.suppress:
            """Where nothing can be read or written, a kernel is compiled for this process alone."""
            return contextlib.suppress(OSError)

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            """What is kept, without what only compiling needs: all that Numba knows of NumPy, and scipy.linalg, whose
            imports take longer than a short run.
            """
            rtsys.initialize(target_context)  # machine code may count references
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)

        def holds(self, signature: Any, dispatcher: Any) -> bool:
            with self._guard_against_spurious_io_errors():
                return self._index_key(signature, dispatcher.targetctx.codegen()) in self._cache_file._load_index()
            return False

    return Cache
