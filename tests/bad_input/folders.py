"""Folders of choices of the user's own that hold no choices, and sweeps in them that can't be read."""

from typing import Final

from tests.bad_input.case import Case
from tests.bad_input.making import Given, all_of, folder, text

_GRU = "bptt.core.models.gru.Gru"
_MARKER = "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [marker]]"

#: The text of mine/model/bad.yaml, and the line for model=bad.
_MODELS: Final = {
    "a: [1,": "mine/model/bad.yaml",
    "\ta: 1": "mine/model/bad.yaml",
    "a: 1\na: 2": "mine/model/bad.yaml",
    _MARKER: "mine/model/bad.yaml",
    f"hidden_size: {_MARKER}": "mine/model/bad.yaml",
    "!!python/object/apply:os.system [touch marker]": "mine/model/bad.yaml",
    "a: &a [*a]": "model/bad.yaml: a value refers to itself",
    "a: &a {b: *a}": "model/bad.yaml: a value refers to itself",
    "- 1\n- 2": "model: missing; choose one: model=…",
    "just text": "model",
    "3": "model/bad.yaml: Invalid loaded object type: int",
    "": "model: missing; choose one: model=…",
    "hidden_size: 3": "model._target_: missing; the file of a choice names its class",
    "_target_: os.system": "model._target_=os.system: must name a class of bptt.core.models",
    f"_target_: {_GRU}\nhidden_size: 3\nlayers: 1\nreadout: none": "model.bias: missing; must be one of",
    "defaults: [nope]": "nope",
    "defaults: 3": "",
    "\x00": "mine/model/bad.yaml",
}

#: hydra.sweeper of mine/sweep/bad.yaml, and the lines for sweep=bad.
_SWEEPERS: Final = {
    "params: [1]": ["sweep/bad: must be a list where a list stands, a mapping where one does"],
    "params: {seed: []}": ["seed=[]: holds no value"],
    "params: {seed: [1, [}": ["mine/sweep/bad.yaml"],
    "params: {seedx: [1, 2]}": ["seedx=1: unknown key; did you mean seed?"],
    "params: {seed: [-1, 1]}": ["seed=-1: must be a whole number at least 0"],
    "params: {seed: 'range(0)'}": ["seed=range(0): holds no value"],
    "params: {seed: 'range(1,'}": ["seed=range(1,: can't be read"],
    "params: {seed: 'interval(0, 1)'}": ["seed=interval(0, 1): neither a list of values nor a range"],
    "params: {seed: 'shuffle(range(3))'}": ["shuffle gives another order each time"],
    "params: {hydra.mode: [RUN]}": ["hydra.sweeper.params: hydra.mode can't be swept"],
    "params: {sweep: [eta]}": ["hydra.sweeper.params: sweep can't be swept"],
    "zip: 3": ["hydra.sweeper.zip=3: must be a list"],
    "zip: [3]": ["hydra.sweeper.zip[0]=3: must be a mapping"],
    "zip: [{seed: [1, 2], model.layers: [1]}]": ["hydra.sweeper.zip[0]: the keys advance together"],
    "seeds: 0": ["hydra.sweeper.seeds=0: must be a whole number at least 1"],
    "seeds: -1": ["hydra.sweeper.seeds=-1: must be a whole number"],
    "seeds: 2.5": ["hydra.sweeper.seeds=2.5: must be a whole number"],
    "seeds: .nan": ["hydra.sweeper.seeds=nan: must be a whole number"],
    "seeds: 10000000": ["hydra.sweeper.seeds=10000000: must be a whole number"],
    "seeds: many": ["hydra.sweeper.seeds=many: must be a whole number"],
    "{seeds: 2, params: {seed: [1, 2]}}": ["hydra.sweeper: seed is swept twice"],
    "exclude: 3": ["hydra.sweeper.exclude=3: must be a list"],
    "{seeds: 2, exclude: [{model: gru}]}": ["hydra.sweeper.exclude[0]: model is not swept"],
    "{seeds: 2, exclude: [{seed: 7}]}": ["hydra.sweeper.exclude[0]: no run has this"],
    "{seeds: 2, exclude: [{seed: [0, 1]}]}": ["exclude: leaves no run"],
    "unions: 3": ["hydra.sweeper.unions=3: must be a list"],
    "unions: [3]": ["hydra.sweeper.unions[0]=3: must be a mapping"],
    "unions: [{seedz: 3}]": ["hydra.sweeper.unions[0].seedz=3: unknown key"],
    "unions: [{seeds: x}]": ["hydra.sweeper.unions[0].seeds=x: must be a whole number"],
    "sedes: 3": ["hydra.sweeper.sedes"],
}
_LAUNCHERS: Final = {
    "workers=0": "hydra.launcher.workers=0: must be a whole number at least 1, or null",
    "workers=x": "hydra.launcher.workers=x: ",
    "workers=1.5": "hydra.launcher.workers=1.5: ",
    "backend=lokky": "hydra.launcher.backend=lokky: must be one of loky, dask, ray, slurm; did you mean loky?",
    "backend=null": "hydra.launcher.backend=null: ",
    "addres=x": "hydra.launcher.addres: unknown key; did you mean hydra.launcher.address?",
    "slurm.partion=x": "hydra.launcher.slurm.partion: unknown key; did you mean hydra.launcher.slurm.partition?",
    "slurm.colour=x": "hydra.launcher.slurm.colour: unknown key",
    "slurm=3": "hydra.launcher.slurm=3: ",
    "slurm.partition='a b'": "hydra.launcher.slurm.partition=a b: must be a word as sbatch takes it",
    "slurm.cores=0": "hydra.launcher.slurm.cores=0: must be a whole number at least 1",
    "slurm.memory=2": "hydra.launcher.slurm.memory=2: must be text",
    "slurm.memory=much": "hydra.launcher.slurm.memory=much: must be a number and a unit, as 500MB or 2GB",
    "slurm.walltime=60": "hydra.launcher.slurm.walltime=60: must be text",
    "slurm.walltime=soon": "hydra.launcher.slurm.walltime=soon: must be HOURS:MINUTES:SECONDS or DAYS-HOURS:",
    "slurm.minimum=5": "hydra.launcher.slurm.minimum=5: must be at most maximum=4",
    "slurm.maximum=-1": "hydra.launcher.slurm.maximum=-1: must be a whole number at least 1",
    "slurm.exclusive=maybe": "hydra.launcher.slurm.exclusive=maybe: must be true or false",
    "slurm.logs='a b'": "hydra.launcher.slurm.logs=a b: must be a folder's path without blanks",
}
_SEARCHES: Final = {
    "hydra.sweeper.trials=0": "hydra.sweeper.trials=0: must be a whole number at least 1",
    "hydra.sweeper.trials=x": "hydra.sweeper.trials=x: must be a whole number",
    "+hydra.sweeper.batch=-1": "hydra.sweeper.batch=-1: must be a whole number at least 1",
    "+hydra.sweeper.metric=loss": "hydra.sweeper.metric=loss: must be one of loss/eval, loss/train, accuracy/eval",
    "+hydra.sweeper.direction=up": "hydra.sweeper.direction=up: must be one of minimize, maximize, or null",
    "+hydra.sweeper.sampler=grids": "hydra.sweeper.sampler=grids: must be one of tpe, cmaes, gp, qmc, random, grid",
    "+hydra.sweeper.objectives={loss/evla: minimize}": "hydra.sweeper.objectives.loss/evla: must be one of loss/eval,",
    "+hydra.sweeper.objectives={loss/eval: down}": "hydra.sweeper.objectives.loss/eval=down: must be minimize or maxim",
    "+hydra.sweeper.sampler_seed=-1": "hydra.sweeper.sampler_seed=-1: must be a whole number at least 0",
    "hydra.sweeper.halving.eta=1": "hydra.sweeper.halving.eta=1: must be a whole number at least 2",
    "hydra.sweeper.halving.min_updates=0": "hydra.sweeper.halving.min_updates=0: ",
    "+hydra.sweeper.storage=f": "hydra.sweeper.storage=f: can't be read",
}
#: What is of a single run in a sweep, or of a sweep in a single run.
_MODES: Final = {
    "train -m hydra.run.dir=x seed=0,1": "hydra.run.dir=x: is the folder of a single run; a sweep's is hydra.sweep.d",
    "train sweep=eta hydra.run.dir=x": "hydra.run.dir=x: is the folder of a single run; a sweep's is hydra.sweep.dir",
    "train hydra.sweep.dir=x": "hydra.sweep.dir=x: is the folder of a sweep, which takes -m; a single run's is hydra",
    "train hydra.sweep.subdir=x": "hydra.sweep.subdir=x: the runs of a sweep have no folders of their own;",
    "train -m hydra.sweep.subdir=x": "hydra.sweep.subdir=x: the runs of a sweep have no folders of their own;",
    "train hydra.job.chdir=true": "hydra.job.chdir=true: a run's files lie in its own folder",
    "train -m hydra.job.chdir=true": "hydra.job.chdir=true: a run's files lie in its own folder",
    "train hydra.job.override_dirname=x": "hydra.job.override_dirname=x: is set by Hydra, whatever is given",
    "train hydra.job.config_name=x": "hydra.job.config_name=x: is set by Hydra, whatever is given; --config-name",
    "train hydra.runtime.cwd=x": "hydra.runtime.cwd=x: is set by Hydra, whatever is given",
    "train hydra.overrides.task=[x]": "hydra.overrides.task=[x]: is set by Hydra, whatever is given",
    "train hydra.job.env_copy=[HOME]": "hydra.job.env_copy: variables are set before the command",
    "train hydra.job.env_copy=[NO_SUCH]": "hydra.job.env_copy=[NO_SUCH]: no such variable",
    "train -m hydra.output_subdir=x": "hydra.output_subdir=x: is in the folder of a single run",
    "train hydra.launcher.workers=2": "hydra.launcher.workers=2: is for the runs of a sweep, which takes -m",
    "train hydra/launcher=basic": "hydra/launcher=basic: is for the runs of a sweep, which takes -m",
    "train -m hydra/launcher=basic seed=0,1": "hydra/launcher=basic: must be lanes",
    "train -m hydra.launcher.workers=1,2": "hydra.launcher.workers=1,2: Hydra's own settings are not swept",
    "train -m hydra/job_logging=default": "hydra/job_logging=default: is of a single run; a sweep's is hydra/hydra_l",
    "train hydra/hydra_logging=default": "hydra/hydra_logging=default: is of a sweep; a single run's is hydra/job_lo",
    "train -m hydra.mode=RUN": "hydra.mode=RUN: -m asks for a sweep",
    "train --run hydra.mode=MULTIRUN": "hydra.mode=MULTIRUN: --run asks for a single run",
    "train --run hydra.sweeper.seeds=2": "hydra.sweeper.seeds=2: is of a sweep, and --run asks for a single run",
    "train hydra.mode=RUN hydra.sweeper.seeds=2": "hydra.sweeper.seeds=2: is of a sweep, and hydra.mode=RUN asks for",
    "train hydra.mode=RUN hydra/sweeper=optuna": "hydra/sweeper=optuna: is of a sweep, and hydra.mode=RUN asks for a",
    "train question=why": "question=why: is what a sweep asks, which takes -m",
    "train solved='loss/eval<=1'": "solved='loss/eval<=1': says which runs of a sweep have solved their task",
    "train conditions=[task.bits]": "conditions=[task.bits]: says what makes the question of a sweep harder, which t",
    "train reuse=true": "reuse=true: takes runs of a sweep from the store, which takes -m",
    "train report=true": "report=true: is the report of a sweep, which takes -m",
    "plan hydra.sweep.dir=x": "hydra.sweep.dir=x: is the folder of a sweep, which takes -m",
    "plan seed=0,1 hydra.run.dir=x": "hydra.run.dir=x: is the folder of a single run",
    "train seed=0,1 hydra.mode=RUN": "seed=0,1: several values are a sweep, which needs -m",
    "plan seed=0,1 hydra.mode=RUN": "seed=0,1: several values are a sweep, which needs -m",
}
#: What an experiment asks of Hydra, and the line for it.
_EXPERIMENTS: Final = {
    "one": "hydra: {launcher: {workers: 1}}",
    "two": "hydra: {sweep: {dir: here}}",
    "basic": "defaults: [override /hydra/launcher: basic]",
    "moves": "hydra: {job: {chdir: true}}",
    "varies": "hydra: {sweeper: {params: {seed: [1, 2]}}}",
}
_SHARED: Final = {
    "experiment=one,varies": "experiment=one: sets hydra.launcher.workers, which holds for a whole sweep; give one a",
    "experiment=varies,two": "experiment=two: sets hydra.sweep.dir, which holds for a whole sweep; give one at a time",
    "experiment=basic seed=0,1": "hydra/launcher=basic: must be lanes",
    "experiment=moves seed=0,1": "hydra.job.chdir=true: a run's files lie in its own folder",
    "+hydra.sweeper.params.experiment=[xor,varies]": "experiment=varies: sets hydra.sweeper.params, which holds for a",
}


def _experiment(name: str) -> Given:
    return text(f"mine/experiment/{name}.yaml", f"# @package _global_\n{_EXPERIMENTS[name]}\n")


_WITH_EXPERIMENTS: Final = all_of(*map(_experiment, _EXPERIMENTS))


def _sweep(sweeper: str) -> str:
    node = sweeper if sweeper.startswith("{") else f"{{{sweeper}}}"
    return f"# @package _global_\nhydra:\n  sweeper: {node}\n"


FOLDERS: Final = [
    *(
        Case(("train", "--config-dir", "mine", "model=bad"), (says,), text("mine/model/bad.yaml", content))
        for content, says in _MODELS.items()
    ),
    Case(("train", "--config-path", "mine"), ("config",), folder("mine")),
    Case(("train", "--config-path", "mine"), ("mine/config.yaml",), text("mine/config.yaml", "a: [")),
]
SWEEPS: Final = [
    *(
        Case(("train", "--config-dir", "mine", "sweep=bad"), tuple(says), text("mine/sweep/bad.yaml", _sweep(sweeper)))
        for sweeper, says in _SWEEPERS.items()
    ),
    *(Case(("train", "-m", "seed=1,2", f"hydra.launcher.{setting}"), (says,)) for setting, says in _LAUNCHERS.items()),
    *(
        Case(("train", "sweep=optuna_adder", f"{setting}"), (says,), all_of(text("f", "x" * 5000)))
        for setting, says in _SEARCHES.items()
    ),
    Case(("train", "-m", "seed=1,-1"), ("seed=-1: must be a whole number at least 0",)),
    Case(("train", "-m", "model=elman,lsmt"), ("model=lsmt: no such choice; did you mean lstm?",)),
    Case(("train", "-m", "seed=range(1,2,0)"), ("seed=range(1,2,0): range() arg 3 must not be zero",)),
    Case(("train", "-m", "solved=zzz", "seed=1,2"), ("zzz",)),
    Case(
        ("train", "-m", "task=xor", "conditions=[task.lenght]", "task.length=3,4"),
        ("conditions=[task.lenght]: must be a swept key; did you mean task.length?",),
    ),
    Case(
        ("train", "-m", "conditions=[seed]", "seed=1,2"),
        ("conditions=[seed]: must be a swept key (swept: nothing but seeds)",),
    ),
    Case(("train", "-m", "measure={lyapunof:last}", "seed=1,2"), ("measure.lyapunof=last: no such measure; did you",)),
    Case(
        ("train", "-m", "measure={lyapunov:lats}", "seed=1,2"), ("measure.lyapunov=lats: must be first, last or all",)
    ),
    Case(("train", "-m", "published=3", "seed=1,2"), ("published=3: must be a mapping, {source: …",)),
    Case(("train", "-m", "published={source:x,rows:[{what:y,wher:1}]}", "seed=1,2"), ("published.rows[0].wher=1: ",)),
    Case(
        ("train", "-m", "published={source:x,rows:[{what:y,measure:loss/tets}]}", "seed=1,2"),
        ("published.rows[0].measure=loss/tets: no run records this; did you mean loss/test?",),
    ),
    Case(
        ("train", "-m", "published={source:x,rows:[{what:y,measure:accuracy/eval}]}", "task=sine", "seed=1,2"),
        ("published.rows[0].measure=accuracy/eval: no run records this",),
    ),
    Case(
        ("train", "-m", "solved='accuracy/evl>=0.9'", "seed=1,2"),
        ("solved=accuracy/evl>=0.9: accuracy/evl is not recorded; did you mean accuracy/eval? there are loss/train,",),
    ),
    Case(
        ("plan", "-m", "solved='accuracy/eval>=0.9'", "task=sine", "seed=1,2"),
        ("solved=accuracy/eval>=0.9: accuracy/eval is not recorded; there are loss/train, loss/eval, grad/norm",),
    ),
    Case(
        ("train", "-m", "published={source:x,rows:[{what:y,measure:dynamics/lyapunov_max}]}", "seed=1,2"),
        ("published.rows[0].measure=dynamics/lyapunov_max: is not measured; measure={lyapunov: last} does",),
    ),
    Case(
        (
            "train",
            "-m",
            "measure={lyapunov:last}",
            "published={source:x,rows:[{what:y,measure:dynamics/lyapunov_mx}]}",
            "seed=1,2",
        ),
        ("published.rows[0].measure=dynamics/lyapunov_mx: no such number; did you mean lyapunov_max?",),
    ),
    Case(
        ("train", "-m", "published={source:x,rows:[{what:y,where:{model:elman}}]}", "model=gru,lstm"),
        ("published.rows[0].where.model=elman: no run has this value of what is swept (gru, lstm)",),
    ),
    Case(
        (
            "train",
            "-m",
            "published={source:x,rows:[{what:y,where:{seed:1},against:{task.length:50},claim:more}]}",
            "task=adding",
            "task.length=12,20",
            "seed=1,2",
        ),
        ("published.rows[0].against.task.length=50: no run has this value of what is swept (12, 20)",),
    ),
    Case(
        ("train", "-m", "published={source:x,rows:[{what:y,where:{modle:gru}}]}", "model=gru,lstm"),
        ("published.rows[0].where.modle=gru: must be a swept key; did you mean model?",),
    ),
    Case(("train", "-m", "conditions=task.length", "seed=1,2"), ("conditions=task.length: must be ",)),
    Case(("train", "-m", "seed=1,2", "tune=3"), ("tune=3: must be a mapping, as {optimizer.alpha:",)),
    Case(("train", "-m", "seed=1,2", "tune={seeds:3}"), ("tune={seeds: 3}: names no key",)),
    Case(("train", "-m", "seed=1,2", "tune={optimizer.alpha:[1]}"), ("tune.optimizer.alpha=[1]: must hold two",)),
    Case(
        ("train", "-m", "seed=1,2", "tune={optimizer.alpha:{lag:[1,2,3]}}"),
        ("tune.optimizer.alpha={lag: [1, 2, 3]}: must be log: [low, high, count]; did you mean",),
    ),
    Case(("train", "-m", "seed=1,2", "tune={optimzer.alpha:[1,2]}"), ("optimzer={alpha: 1}: unknown key; did you",)),
    Case(("train", "-m", "seed=1,2", "tune={optimizer.alpha:[1,x]}"), ("optimizer.alpha=x: must be a number",)),
    Case(("train", "-m", "optimizer.alpha=1,2", "tune={optimizer.alpha:[1,2]}"), ("tune.optimizer.alpha: is swept",)),
    Case(("train", "sweep=optuna_adder", "tune={model.layers:[1,2]}"), ("tune: a search chooses values",)),
    Case(("train", "tune={optimizer.alpha:[1,2]}"), ("tune: chooses values for the runs of a sweep, which takes -m",)),
    Case(("train", "confirm=3"), ("confirm: picks the best setting of a sweep, which takes -m",)),
    Case(("train", "-m", "seed=1,2", "confirm=0"), ("confirm=0: must be a whole number at least 1, or null",)),
    Case(("train", "-m", "seed=1,2", "confirm=3"), ("confirm=3: there are no two settings of which one is picked",)),
    Case(("train", "-m", "seed=1,2", "tune={optimizer.alpha:[1,2]}", "confirm=3"), ("confirm=3: there are no two",)),
    Case(("train", "-m", "tracking.experiment=a,b"), ("tracking: must be the same for all runs of a sweep",)),
    Case(("train", "-m", "reuse=true,false"), ("reuse: must be the same for all runs of a sweep",)),
    Case(("train", "sweep=eta,hidden_size"), ("sweep=eta,hidden_size: ",)),
    *(Case(tuple(command.split()), (says,)) for command, says in _MODES.items()),
    *(
        Case(
            ("train", "-m", "--config-dir", "mine", *choices.split()), (says,), all_of(*map(_experiment, _EXPERIMENTS))
        )
        for choices, says in _SHARED.items()
    ),
    Case(("plan", "seed=1,-1"), ("seed=-1: must be a whole number at least 0",)),
    Case(("plan", "sweep=nope"), ("sweep=nope: no such choice",)),
    Case(("check-gradients", "model.hidden_size=0"), ("model.hidden_size=0: must be a whole number at least 1",)),
    Case(("warm", "model=nope"), ("model=nope: no such choice",)),
]
