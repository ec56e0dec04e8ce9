"""Vectors with names: `hyper.alpha` in a kernel is the vector that belongs to the name `alpha`."""

from collections.abc import Sequence

from numba import TypingError, types
from numba.extending import models, register_model

from bptt.core.compiler import define_attributes
from bptt.core.simd.memory import load_vector, numbers_at
from bptt.core.simd.types import WIDTH, vector


class NamedVectors(types.Type):
    """Memory of one vector for each name, in the names' order; to the machine a pointer like `VECTORS`."""

    dtype = vector  # what it points to

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"NamedVectors({', '.join(self.names)})")


register_model(NamedVectors)(models.PointerModel)


def _vector_of_name(named, name):
    if name not in named.names:
        read = ", ".join(named.names) or "nothing"
        raise TypingError(f"a kernel reads {name}, and says that it reads {read}")
    return vector


def _load_vector_of_name(context, builder, named, memory, name):
    place = context.get_constant(types.intp, named.names.index(name))
    return load_vector(builder, numbers_at(context, builder, memory, types.intp, place, WIDTH))


define_attributes(NamedVectors, _vector_of_name, _load_vector_of_name)
