# What `bptt` has, for type checkers and editors: the module itself imports it when it is first asked for.
from bptt import tasks as tasks
from bptt.configuration.errors import ConfigurationError as ConfigurationError
from bptt.python.commands import live as live
from bptt.python.commands import measure as measure
from bptt.python.commands import plan as plan
from bptt.python.commands import remove as remove
from bptt.python.commands import reproduce as reproduce
from bptt.python.commands import resume as resume
from bptt.python.commands import status as status
from bptt.python.commands import sync as sync
from bptt.python.comparing import SweepComparison as SweepComparison
from bptt.python.comparing import compare as compare
from bptt.python.network import Network as Network
from bptt.python.run import RunFailedError as RunFailedError
from bptt.python.run import TrainedRun as TrainedRun
from bptt.python.sweep import TrainedSweep as TrainedSweep
from bptt.python.sweeping import load as load
from bptt.python.sweeping import sweep as sweep
from bptt.python.training import train as train

__version__: str
__all__: list[str]
