"""Kernels read hyperparameters by name: the order of a dataclass's fields means nothing."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
from numba.core.errors import TypingError

from bptt.configuration.components import find_lacking
from bptt.core.annotations import PerLane, Range
from bptt.core.kernel import BATCH_LOSS, CLIP, LANES, OPTIMIZER, UNITS, Kernel
from bptt.core.lanes import BESIDE, hyperparameters, per_lane_fields
from bptt.core.optimizers.momentum import Momentum, momentum
from bptt.core.optimizers.sgd import sgd
from bptt.core.run import Optimizer
from bptt.core.simd import WIDTH, splat
from tests.core.comparing import assert_same_record, finished
from tests.core.discovering import components, example
from tests.core.making import make_run


@dataclass(frozen=True, kw_only=True)
class Swapped:
    """Momentum with its fields the other way round."""

    epsilon: Annotated[PerLane, Range(at_least=0, below=1)]
    alpha: Annotated[PerLane, Range(at_least=0)]

    kernel: ClassVar[Kernel] = momentum
    slots: ClassVar[int] = 1


@pytest.mark.parametrize("lanes", [1, WIDTH + 1])
def test_two_swapped_fields_are_no_other_optimizer(lanes: int) -> None:
    assert per_lane_fields(Swapped) == momentum.hyper[::-1]
    values = [{"alpha": 0.02 * (lane + 1), "epsilon": 0.9 - 0.05 * lane} for lane in range(lanes)]
    swapped, usual = (
        finished([make_run(optimizer=kind(**value), seed=lane) for lane, value in enumerate(values)])
        for kind in (Swapped, Momentum)
    )
    for found, expected in zip(swapped, usual, strict=True):
        assert_same_record(found, expected)


@pytest.mark.parametrize("mode", [LANES, UNITS])
def test_rows_are_in_the_order_of_the_kernels_names(mode: str) -> None:
    lanes = [Swapped(alpha=0.5 + lane, epsilon=0.25 / (1 + lane)) for lane in range(2 if mode == LANES else 1)]
    rows = hyperparameters(lanes, mode)
    assert momentum.hyper == ("alpha", "epsilon")
    if mode == LANES:
        assert rows[:, :2].tolist() == [[0.5, 1.5], [0.25, 0.125]]
        assert not rows[:, 2:].any()
    else:
        assert rows.tolist() == [[0.5] * WIDTH, [0.25] * WIDTH]


@pytest.mark.parametrize("kind", ["optimizers", "clips", "schedules", "regularizers"])
def test_every_component_has_what_its_kernel_reads(kind: str) -> None:
    for component in components(kind).values():
        names = () if component.kernel is None else component.kernel.hyper
        driven = {name for part in BESIDE if issubclass(component, part) for name in per_lane_fields(part)}
        assert not driven & set(names)
        assert set(names) - {BATCH_LOSS} == set(per_lane_fields(component)) - driven
        assert example(component).kernel is component.kernel


def test_a_class_without_what_its_kernel_reads_is_refused() -> None:
    @dataclass(frozen=True)
    class Without:
        alpha: PerLane
        kernel: ClassVar[Kernel] = momentum
        slots: ClassVar[int] = 1

    @dataclass(frozen=True)
    class More:
        alpha: PerLane
        decay: PerLane
        kernel: ClassVar[Kernel] = sgd
        slots: ClassVar[int] = 0

    says = "its kernel reads epsilon, and no field of it that is PerLane has that name"
    assert find_lacking(Without, Optimizer) == says
    assert find_lacking(More, Optimizer) == "decay: PerLane, and its kernel does not read it"
    assert find_lacking(Swapped, Optimizer) is None


def test_a_kernel_that_reads_what_it_does_not_name_cant_be_compiled() -> None:
    @CLIP("threshold")
    def wrong(gradient, count, hyper):  # type: ignore[no-untyped-def]
        return splat(0.0) + hyper.treshold

    with pytest.raises(TypingError, match="reads treshold, and says that it reads threshold"):
        wrong.compile(LANES)


def test_a_kernel_has_to_say_what_it_reads() -> None:
    with pytest.raises(TypeError, match=r'^@OPTIMIZER\("alpha", …\) says which hyperparameters a kernel reads'):
        OPTIMIZER(lambda parameters: None)  # type: ignore[arg-type]
