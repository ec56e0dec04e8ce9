"""A cache of kernels in which another user has planted one that runs when it is loaded."""

import os
import pickle
import subprocess
import sys

from tests.doctor.faults import NOBODY
from tests.faults.programs import Program
from tests.faults.proof import prove
from tests.faults.sweep import begin, words
from tests.faults.trial import Blow, Trial
from tests.safety.planted import Planted

_PLACE = "from bptt.core.clips.none import no_clip; print(no_clip._cache._cache_file._index_path)"


def planted(trial: Trial) -> None:
    """The folder, the version's or the file is another user's: nothing is loaded, the sweep is refused in a line."""
    cache, witness = trial.folder / "cache", trial.folder / "witness"
    env = {"BPTT_CACHE_DIR": str(cache)}
    found = subprocess.run([sys.executable, "-c", _PLACE], env=os.environ | env, stdout=subprocess.PIPE, check=True)
    index = cache / found.stdout.decode().strip()
    index.parent.mkdir(parents=True)
    index.write_bytes(pickle.dumps(Planted(witness)))
    os.chown(trial.one_of(cache, index.parent, index), NOBODY, NOBODY)
    refused = Program.start(trial.folder, *words(), env=env)
    refused.ended_with(2)
    assert refused.told().count("\n") == 1, refused.told()
    assert "belongs to nobody" in refused.told(), refused.told()
    assert not witness.exists()
    trial.blows.append(Blow("starting", 0, kills=0))
    program = begin(trial)
    trial.recoveries.append(program.ended_with(0))
    prove(trial, program.process.pid)
