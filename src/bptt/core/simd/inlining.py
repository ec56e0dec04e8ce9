"""How kernels are compiled: `inline` compiles a helper into every kernel that calls it, and kernels are kept small.

Numba optimises and assembles every function that it compiles, and again each function that calls it, with all it has
inlined: six levels of helpers under one kernel cost six times the work, some 40 s for a cell. A helper here stops short
of that. Its code is handed on as it was generated, and only the kernel at the top is optimised and assembled, once.

LLVM is asked for small code. What it would unroll are loops over few units or timesteps around long bodies; a network
of a few units takes 1.4 times as long where its kernels do not fit the cache of instructions. The loops that have most
of the work, `simd.blocks`, are functions of their own and are unrolled.
"""

from typing import Any

from numba import _dynfunc, njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering


class _SmallLower(Lower):
    def setup_function(self, fndesc: Any) -> None:
        super().setup_function(fndesc)
        self.function.attributes.add("optsize")


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(NativeLowering):
    """Generate code for a kernel, to be kept small."""

    _name = "kernel_lowering"

    @property
    def lowering_class(self) -> type[Lower]:
        return _SmallLower


class _HelperLibrary(JITCodeLibrary):
    """Code that is linked into others and never runs by itself."""

    def finalize(self) -> None:
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _HelperLowering(NativeLowering):
    """Generate code for a helper, but no machine code."""

    _name = "helper_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = _HelperLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
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


def _compiler(lowering: type[NativeLowering]) -> type[CompilerBase]:
    """Numba's compiler with another last step."""

    class Compiler(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
            pipeline.passes = [(lowering if step is NativeLowering else step, why) for step, why in pipeline.passes]
            pipeline._finalized = False
            pipeline.finalize()
            return [pipeline]

    return Compiler


inline = njit(
    forceinline=True,
    error_model="numpy",
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    pipeline_class=_compiler(_HelperLowering),
)
kernel = njit(nogil=True, error_model="numpy", pipeline_class=_compiler(_KernelLowering))
