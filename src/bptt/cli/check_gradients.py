"""`bptt check-gradients [overrides]`: backpropagation through time against finite differences, block by block."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bptt.cli import hydra_app

if TYPE_CHECKING:
    from bptt.configuration.build import Configuration


def main(argv: Sequence[str]) -> int:
    """Exit code 0 when every block's error is within its bound, 1 when one is not, 2 for a wrong request."""
    # It writes nothing, so it needs no folder of its own.
    settings = ["hydra.run.dir=.", "hydra.output_subdir=null"]
    return hydra_app.run(argv, _check, "bptt check-gradients", settings)


def _check(configuration: "Configuration") -> int:
    from bptt.configuration.errors import ConfigurationError, write_problem
    from bptt.core.gradcheck import check_gradients
    from bptt.tracking.provenance.digest import find_package

    run = configuration.run
    if find_package(target := str(configuration.resolved["loss"]["_target_"])) is not None:
        raise ConfigurationError([write_problem("loss._target_", target, "only bptt's own losses are known here")])
    blocks = check_gradients(run)
    width = max(len(block.name) for block in blocks)
    print(f"{'block':<{width}}  relative error  bound")
    for block in blocks:
        verdict = "ok" if block.ok else "WRONG"
        print(f"{block.name:<{width}}  {block.relative_error:14.2e}  {block.bound:.0e}  {verdict}")
    wrong = sum(not block.ok for block in blocks)
    print(f"{wrong} of {len(blocks)} blocks are wrong" if wrong else f"all {len(blocks)} blocks are right")
    return 1 if wrong else 0
