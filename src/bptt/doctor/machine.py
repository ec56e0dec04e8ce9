"""What computes: the processor and its vectors, BLAS, and how many workers a sweep takes."""

import os
from collections.abc import Iterator
from pathlib import Path

from bptt.doctor.finding import Finding, Situation

_CGROUP = Path("/sys/fs/cgroup")


_WIDEST = {"avx512f": 8, "avx": 4, "neon": 2, "sse2": 2}


def examine(_situation: Situation) -> Iterator[Finding]:
    """The processor, the vectors that the kernels use, BLAS, the cores and the workers."""
    from llvmlite.binding import get_host_cpu_features
    from numba import config

    from bptt.tracking.provenance.environment import describe_environment

    found = describe_environment()
    features = get_host_cpu_features()
    known = [name for name in ("avx512f", "avx2", "fma", "neon", "sve") if features.get(name)]
    told = f"kernels are compiled for {config.CPU_NAME or found['target']} ({', '.join(known) or 'no vectors'})"
    yield Finding(subject="processor", says=f"{found['cpu']}; {told}")
    yield _examine_vectors(found["simd"], max([1, *(width for name, width in _WIDEST.items() if features.get(name))]))
    yield _examine_blas(found["blas"])
    yield from _examine_workers()


def _examine_vectors(used: int, widest: int) -> Finding:
    says = f"the kernels compute {used} float64 at a time, the processor {widest} in a register"
    if used >= widest:
        return Finding(subject="vectors", says=says)
    return Finding(
        mark="note",
        subject="vectors",
        says=f"{says}: BPTT_SIMD_WIDTH asks for {used}",
        means="training takes longer than it could; the bits are the same",
        command="unset BPTT_SIMD_WIDTH",
    )


def _examine_blas(found: dict[str, object]) -> Finding:
    from threadpoolctl import threadpool_info

    threads = max([1, *(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")])
    beside = f" ({threads} otherwise)" if threads > 1 else ""
    named = " ".join(str(found[key]) for key in ("name", "version", "architecture") if found[key])
    return Finding(subject="BLAS", says=f"{named}; 1 thread in training{beside}")


def _examine_workers() -> Iterator[Finding]:
    from bptt.sweeps.workers.pool import WorkerSettings

    cores, workers = os.cpu_count() or 1, WorkerSettings().wanted
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    limit = _read_cgroup_limit()
    parts = [f"{cores} cores"]
    if own < cores:
        parts.append(f"{own} of them for this process (its affinity)")
    if limit is not None:
        parts.append(f"{limit:g} allowed by its cgroup")
    yield Finding(subject="workers", says=f"a sweep takes {workers}: {', '.join(parts)}")


def _read_cgroup_limit(root: Path = _CGROUP) -> float | None:
    """How many cores' time this process may use; None: nothing limits it, or it can't be told."""
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):
        return None
