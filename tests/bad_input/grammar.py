"""Overrides that are no overrides, or name what there is not."""

from tests.bad_input.case import Case, case, train
from tests.bad_input.making import text

FORM = "not of the form key=value"
READ = "can't be read; a value with blanks, brackets or any of =,:'\" is written key='…'"
UNKNOWN = "unknown key"
DEEP = "brackets stand in brackets more than 50 deep"

_FORM = [
    "=x",
    "==",
    "=",
    "+",
    "++",
    "~",
    "~=",
    "+=1",
    "++=1",
    "~=1",
    "@",
    "seed",
    "+seed",
    "+~seed",
    "++ ",
    " ",
    "\n",
    "日本",
]
_UNREADABLE = [
    *("a==", "a==b", "seed==1", "seed=]", "seed=[", "seed=[1", "seed=1]", "seed=}", "seed={", "seed={a", "seed={a:}"),
    *("seed=(1", "seed=1)", 'seed="', 'seed="a', "seed='", "seed='a", "seed='a'b'", "seed=a'b", "seed=a=b", "~~seed"),
    *("+++seed=1", "seed=é", "sé=1", "日本=1", "seed=日本", "seed=${", "seed=${}", "seed=${a", "seed=${${seed}}"),
    *(
        "seed=a:{b",
        "seed=[1,2",
        "seed=[1;2]",
        "seed={a=1}",
        "a@b:c=1",
        "@foo=1",
        "model@:x=gru",
        "/model=gru",
        "model/=gru",
    ),
    *(
        "model.=1",
        ".model=1",
        "model..x=1",
        ".=1",
        "model[0]=1",
        "seed[0]=1",
        "se ed=1",
        "\tseed=1",
        "seed=1\nmodel=gru",
    ),
    *("seed=\n", "se\x00ed=1", "seed=\x00", "\u202eseed=1", "seed=\u200b1", "\x1b[31mseed=1", "seed=1\r", "seed=a,,b"),
]
_UNKNOWN = {
    "model/x=1": "model/x=1",
    "model/elman=1": "model/elman=1",
    "model.0=3": "model.0=3",
    "+zzz.a.b=1": "zzz={a: {b: 1}}",
    "++seedx=1": "seedx=1: unknown key; did you mean seed?",
    "+model@other=gru": "other={_target_: bptt.core.models.gru.Gru",
    "train.early_stop.x=1": "train.early_stop.x=1",
}
_INTERPOLATIONS = {
    "seed=${seed}": "seed=${seed}: can't be followed (Recursive interpolation detected)",
    "model.readout=${model.readout}": "Recursive interpolation detected",
    "seed=${.}": "seed=${.}: ",
    "seed=${..seed}": "seed=${..seed}: can't be followed",
    "seed=${nope.x}": "Interpolation key 'nope.x' not found",
    "seed=${nope:1}": "Unsupported interpolation type nope",
    "seed=${hydra:job.num}": "HydraConfig was not set",
    "seed=${now:}": "seed=${now:}: can't be followed",
    "seed=${now:%Y}": "must be a whole number at least 0",
    'seed=${oc.decode:"[1"}': "can't be followed (GrammarParseError",
    "model.hidden_size=${train}": "must be a whole number at least 1",
    "train=${train}": "train=${train}: no such choice (choices: default)",
    "model=${model}": "model=${model}: no such choice",
}
_CLASSES = {
    **{
        f"{group}._target_={target}": f"{group}._target_={shown}: must name a class of bptt.{package} (allow=[PACKAGE]"
        for group, package in {
            "task": "tasks",
            "model": "core.models",
            "init": "core.inits",
            "clip": "core.clips",
            "schedule": "core.schedules",
            "regularizer": "core.regularizers",
        }.items()
        for target, shown in {
            "os.system": "os.system",
            "": "''",
            "null": "null",
            "[a]": "[a]",
            "system": "system",
        }.items()
    },
    "optimizer._target_=bptt.core.optimizers.nope.Nope": "can't be imported (ModuleNotFoundError",
    "init.recurrent={_target_: subprocess.Popen}": "init.recurrent._target_=subprocess.Popen: must name a class",
    "allow=os": "allow=os: must be a list, each item text",
    "allow=[1]": "allow=[1]: must be a list, each item text",
    "allow={os: 1}": "allow={os: 1}: must be a list where a list stands",
    "+hydra.callbacks.x._target_=os.system": "hydra.callbacks.x._target_=os.system: is no class that may be named here",
}
_HYDRA = {
    "hydra.zzz=1": "hydra.zzz: unknown key",
    "hydra/launcher=nope": "hydra/launcher=nope: no such choice",
    "hydra/sweeper=nope": "hydra/sweeper=nope: no such choice",
    "hydra=1": "hydra=1: no such choice",
    "hydra.mode=X": "hydra.mode=X: ",
    "hydra.job_logging=x": "hydra.job_logging=x: ",
    "hydra.run.dir=[1]": "hydra.run.dir=[1]: ",
    "hydra.callbacks.x=1": "hydra.callbacks.x: unknown key",
    "hydra.searchpath=[nowhere]": "hydra.searchpath=[nowhere]: no such folder",
    "hydra.searchpath=[pkg://os]": "hydra.searchpath=pkg://os: imports os",
}
_PACKAGES = {
    "optimizer@foo=sgd": "optimizer@foo: in none of the files; write +optimizer@foo=…",
    "model@optimizer=gru": "model@optimizer: in none of the files",
}
_CHOICES = {
    **{f"{group}={wrong}": f"{group}={shown}: no such choice" for group in ("model", "experiment", "sweep")
       for wrong, shown in {"nope": "nope", "": "''", "[a,b]": "[a, b]", "3": "3", "true": "true"}.items()},
    "~seed=1": "~seed=1: its value is 0",
    "~zzz": "~zzz: no such key",
    "train=null": "train=null: no such choice (choices: default)",
    "model=???": "model=???: no such choice",
    "seed=???": "seed: missing; give it a value: seed=…",
    "init.recurrent=file": "init.recurrent.path: missing; must be text",
    "init.recurrent=[]": "init.recurrent=[]: must be null, a number, the name of a choice",
    "init.recurrent={name: [1]}": "init.recurrent={name: [1]}: must be null",
    "init.input={name: normal, scale: {a: 1}}": "init.input.scale={a: 1}: must be a number at least 0",
    "init.gate_bias=[]": "init.gate_bias=[]: must be a list where a list stands, a mapping where one does",
    "init.gate_bias.x=1": "init.gate_bias.x=1.0: model=elman has no gates",
    "init.gate_bias.forget.x=1": "init.gate_bias.forget={x: 1}: must be null, a number, or {name: chrono, t_max: …}",
    f"init.gate_bias.forget={'9' * 400}": "…: must be null, a number, or {name: chrono, t_max: …}",
    "init.gate_bias.forget={name: chrono, t_max: ten}": "init.gate_bias.forget.t_max=ten: must be a number at least 3",
    "init.gate_bias.forget={name: [1]}": "init.gate_bias.forget={name: [1]}: must be null, a number",
    "model.hidden_size.x=1": "model.hidden_size={x: 1}: must be a whole number at least 1",
}  # fmt: skip
_WORDS = {
    "lr=0.1": "lr=0.1: unknown key; did you mean optimizer.alpha=0.1?",
    "learning_rate=x": "learning_rate=x: unknown key; did you mean optimizer.alpha=x?",
    "epochs=5": "epochs=5: unknown key; did you mean train.updates=5?",
    "rnn": "rnn: not of the form key=value; did you mean model=elman?",
    "model=rnn": "model=rnn: no such choice; did you mean elman?",
    "momentum=0.9": "momentum=0.9: unknown key; did you mean optimizer.epsilon=0.9, of optimizer=momentum or nesterov?",
    "optimizer.epsilon=0.9": "optimizer.epsilon=0.9: unknown key; optimizer=momentum or nesterov has it",
    "hidden=5": "hidden=5: unknown key; did you mean model.hidden_size=5?",
    "dropout=0.5": "dropout=0.5: unknown key; there is no dropout",
    "seed = 0": "seed = 0: can't be read; did you mean seed=0?",
    "+experiment=xor": "+experiment=xor: chosen already; leave out the +",
    "sweeps=hidden_size": "sweeps=hidden_size: unknown key; did you mean sweep=hidden_size?",
    "seeds=5": "seeds=5: unknown key; did you mean -m hydra.sweeper.seeds=5?",
    "seed=0..5": "must be a whole number at least 0; several values are a sweep: -m seed=range(0,6)",
    "seed=range 5": "must be a whole number at least 0; several values are a sweep: -m seed=range(5)",
    "optimizer.alpha=[0.1,0.2]": "several values are a sweep: -m optimizer.alpha=0.1,0.2",
}
_LONG = {
    f"seed={'9' * 5000}": "…: a number of too many digits",
    f"seed='{'9' * 5000}'": "…: must be a whole number at least 0",
    f"{'x' * 3000}=1": "File name too long",
    f"seed={'x' * 3000}": "…: must be a whole number at least 0",
    f"seed={'[' * 300}{']' * 300}": DEEP,
    f"seed={'{a:' * 200}1{'}' * 200}": DEEP,
    f"seed={'(' * 2000}": DEEP,
    f"seed={'a=' * 2000}": READ,
}

GRAMMAR: list[Case] = [
    *(train(override, FORM) for override in _FORM),
    *(train(override, READ) for override in _UNREADABLE),
    *(
        train(override, says)
        for cases in (_UNKNOWN, _INTERPOLATIONS, _CLASSES, _HYDRA, _PACKAGES, _CHOICES, _WORDS, _LONG)
        for override, says in cases.items()
    ),
]

OPTIONS: list[Case] = [
    case("train --zzz", "bptt train: unrecognized arguments: --zzz"),
    case("train --lr 0.1", "bptt train: unrecognized arguments: --lr; did you mean optimizer.alpha=0.1?"),
    case("train lr 0.1", "lr 0.1: a shell parts it at its blanks; did you mean optimizer.alpha=0.1?"),
    case("train seed = 0", "seed = 0: a shell parts it at its blanks; did you mean seed=0?"),
    case("train -m seed=range 5", "seed=range 5: a shell parts it at its blanks; did you mean seed=range(5)?"),
    case("train -m seed=0, 1", "seed=0, 1: a shell parts it at its blanks; did you mean seed=0,1?"),
    case("train -x seed=0", "bptt train: unrecognized arguments: -x"),
    case("train --cfg", "bptt train: argument --cfg/-c: expected one argument"),
    case("train --cfg=zzz", "bptt train: argument --cfg/-c: invalid choice: 'zzz'"),
    case("train --package", "bptt train: argument --package/-p: expected one argument"),
    case("train --info=zzz", "bptt train: argument --info/-i: invalid choice: 'zzz'"),
    case("train --config-dir", "bptt train: argument --config-dir/-cd: expected one argument"),
    case("train --config-dir nowhere", "--config-dir nowhere: no such folder"),
    case("train --config-dir f", "--config-dir f: no such folder", given=text("f", "")),
    case("train --config-path nowhere", "--config-path nowhere: no such folder"),
    case("train --config-name nope", "nope"),
    case("train --cfg job -m", "--multirun and --cfg don't go together"),
    case("train --resolve", "--resolve: says how --cfg job is shown; give that too"),
    case("train --package model", "--package: says how --cfg job is shown; give that too"),
    case("train --run -m", "--run and --multirun don't go together"),
    case("train --experimental-rerun x", "--experimental-rerun: reads a pickle, which bptt does not"),
    case("train seed=0,1", "seed=0,1: several values are a sweep, which needs -m"),
    case("trian", "trian: no such command; did you mean train?"),
    case("zzz", "zzz: no such command (commands: train"),
    case("--zzz", "--zzz: no such command"),
]
