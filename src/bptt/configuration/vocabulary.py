"""The words of a configuration: which choices there are, and what other libraries call things that are here.

The latter is for messages alone, nothing is read by these names. A word counts in any spelling: `learning_rate`,
`learning-rate` and `learningRate` are one.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final

import bptt
from bptt.configuration.errors import quote, suggest, write_problem

#: Each key or group with its other names.
KEYS: Final = {
    "optimizer.alpha": "lr learning_rate base_lr init_lr initial_lr learning_rate_init max_lr step_size eta eta0 lrate",
    "optimizer.epsilon": "momentum momentum_rate mu",
    "optimizer.beta1": "beta_1 betas b1",
    "optimizer.beta2": "beta_2 b2",
    "optimizer.decay": "rho decay_rate",
    "optimizer.small_constant": "eps",
    "optimizer.delta_max": "max_step",
    "optimizer.weight_decay": "wd decoupled_weight_decay",
    "optimizer.damping": "lambda lambda_zero initial_lambda init_damping",
    "optimizer.cg_iterations": "max_cg_iterations cg_iter cg_max_iter",
    "optimizer.noise": "gradient_noise grad_noise noise_std",
    "regularizer.factor": "l2 l2_reg l2_regularization l2_penalty l2_h lambda2_r l2_firing_rate",
    "schedule.warmup": "warmup_steps warmup_updates num_warmup_steps warmup_epochs",
    "schedule.floor": "eta_min min_lr lr_min alpha_min end_factor final_lr",
    "schedule.every": "lr_step lr_step_size decay_steps decay_every drop_every",
    "schedule.factor": "lr_gamma lr_decay lr_factor",
    "clip.threshold": "gradient_clip grad_clip clip_grad clip_grad_norm clip_norm max_norm max_grad_norm clipping"
    " gradient_clip_val gradient_clipping clip_value clip_gradient clip_gradients clip_threshold",
    "model.hidden_size": "hidden hidden_units n_hidden num_hidden nhid hidden_dim hidden_layer_sizes size units n_units"
    " num_units neurons num_neurons n_neurons width state_size rnn_units rnn_size d_model",
    "model.layers": "num_layers n_layers nlayers layer depth num_hidden_layers",
    "model.activation": "nonlinearity act act_fn activation_fn activation_function",
    "model.bias": "use_bias",
    "model.readout": "output_activation out_activation head",
    "model.leak": "alpha_rec leak_rate leaky_rate dt_over_tau leaking_rate",
    "model.noise": "sigma_rec rec_noise noise_rec recurrent_noise state_noise hidden_noise var_rec",
    "model.dale": "dale_ratio ei_ratio e_prop dales_law",
    "init.scale": "std stddev gain init_std weight_scale",
    "init.recurrent": "recurrent_initializer recurrent_init",
    "init.gate_bias.forget": "forget_bias unit_forget_bias forget_gate_bias",
    "train.updates": "epochs epoch n_epochs num_epochs max_epochs nb_epoch steps n_steps num_steps max_steps"
    " train_steps training_steps iterations n_iterations num_iterations iters n_iter max_iter niter",
    "train.batch_size": "batch bs batches minibatch mini_batch minibatch_size mini_batch_size train_batch_size",
    "train.truncation": "tbptt bptt truncate truncated tbptt_steps bptt_steps",
    "train.carry_state": "stateful",
    "train.log_points": "log_every log_interval log_steps log_freq eval_every eval_interval eval_steps logging_steps",
    "train.only": "trainable train_only freeze frozen",
    "train.early_stop.metric": "early_stopping monitor",
    "train.early_stop.patience": "patience n_iter_no_change early_stopping_rounds",
    "train.keep": "restore_best_weights save_best_only save_best load_best_model_at_end",
    "task.length": "seq_len seq_length sequence_length sequence_len timesteps time_steps n_timesteps num_timesteps",
    "task.path": "data_path data_file",
    "seed": "random_state random_seed manual_seed rng_seed",
    "hydra.sweeper.seeds": "seeds n_seeds num_seeds repeats n_repeats replicates",
    "hydra.launcher.workers": "workers n_workers num_workers n_jobs jobs processes num_processes n_cpus num_cpus",
    "hydra.verbose": "verbose verbosity log_level",
    "tracking.experiment": "experiment_name exp_name mlflow_experiment",
    "tracking.uri": "tracking_uri mlflow_uri mlflow_tracking_uri",
    "task": "dataset data problem env benchmark tasks",
    "model": "models network net nn cell_type rnn_type architecture arch rnn",
    "optimizer": "optimizers optim optimiser opt solver",
    "loss": "criterion objective loss_fn loss_func loss_function cost",
    "init": "initializer initialiser initialization initialisation weight_init kernel_initializer",
    "schedule": "scheduler lr_scheduler lr_schedule schedules",
    "regularizer": "regulariser regularization regularisation reg kernel_regularizer",
    "experiment": "experiments exp",
    "sweep": "sweeps",
}

#: Each choice of a group with its other names.
CHOICES: Final = {
    "model=elman": "rnn simple_rnn vanilla vanilla_rnn srn basic_rnn elman_rnn",
    "model=lstm": "lstm_cell long_short_term_memory",
    "model=gru": "gru_cell gated_recurrent_unit",
    "model=leaky": "ctrnn leaky_rnn continuous_time rate_rnn eirnn",
    "optimizer=rmsprop": "rms",
    "optimizer=momentum": "sgd_momentum sgdm heavy_ball",
    "optimizer=nesterov": "nag",
    "optimizer=irprop_minus": "irprop",
    "optimizer=adamw": "adam_w",
    "optimizer=hessian_free": "hf hessianfree gauss_newton newton newton_cg truncated_newton",
    "loss=squared_error": "mse mean_squared_error mse_loss l2 squared quadratic",
    "loss=binary_cross_entropy": "bce binary_crossentropy bce_loss bce_with_logits_loss",
    "loss=cross_entropy": "ce crossentropy cross_entropy_loss categorical_crossentropy xent softmax"
    " sparse_categorical_crossentropy nll nll_loss",
    "init=glorot": "xavier xavier_uniform xavier_normal glorot_uniform glorot_normal",
    "init=normal": "gaussian random_normal randn",
    "init=uniform": "random_uniform rand",
    "init=identity": "irnn eye",
    "init=constant": "zeros zero ones",
    "init=torch": "pytorch default",
    "init=file": "load checkpoint pretrained",
    "clip=norm": "global_norm grad_norm l2",
    "clip=value": "elementwise",
    "clip=none": "null off no false",
    "schedule=constant": "none null off no",
    "schedule=cosine": "cos cosine_annealing cosineannealinglr cosine_decay",
    "schedule=linear": "linear_decay linearlr",
    "schedule=step": "steplr step_decay exponential exponentiallr exponential_decay",
    "schedule=inverse_sqrt": "noam rsqrt inverse_square_root inv_sqrt",
    "regularizer=l2": "weight_decay ridge",
    "regularizer=l2_activity": "activity_regularizer firing_rate rate activity",
    "regularizer=orthogonality": "orthogonal soft_orthogonality",
    "regularizer=omega": "vanishing pascanu",
    "regularizer=none": "null off no false",
    "task=copying": "copy copy_memory",
    "task=adding": "add addition adding_problem",
    "task=arrays": "npz npy numpy custom own file array",
    "task=table": "csv parquet dataframe pandas excel tsv data tabular series timeseries time_series",
    "task=sentiment": "imdb",
    "task=charlm": "char_lm language_model shakespeare text",
}

#: What there is not, and what there is instead.
ABSENT: Final = {
    "dropout dropout_rate recurrent_dropout": "there is no dropout; regularizer=l2 keeps weights small",
    "device gpu gpus cuda accelerator": "networks are trained on processors; hydra.launcher.workers says on how many",
    "bidirectional": "every network reads forwards",
    "dtype precision": "all numbers have 64 bits",
}

_BARE: Final = re.compile(r"[A-Za-z][\w.\-]*")
_RANGE: Final = re.compile(r"(?:range\W*)?(-?\d+)\s*(?:\.\.+|…|-|:|,|to)\s*(-?\d+)\W*|range\W*(\d+)\W*", re.IGNORECASE)


def write_unknown_key(
    key: str,
    value: Any,
    siblings: Iterable[str],
    everywhere: Iterable[str] = (),
    folders: Sequence[Path] = (),
) -> str:
    """The line for a key that means nothing where it stands.

    `siblings` are the names that do mean something there; `everywhere` all keys of a configuration, in full: one
    of another name's end may be meant (`hidden_size` for `model.hidden_size`). In `folders` lie the choices that were
    not made, one of which may have the key.
    """
    parent, _, name = key.rpartition(".")
    prefix = f"{parent}." if parent else ""
    names, there = list(siblings), list(everywhere)
    here = {prefix + sibling for sibling in names} | {*there}
    if told := _find_word(_ABSENT_WORDS, name):
        return write_problem(key, value, f"unknown key; {told}")
    if target := translate_key(name):
        meant = write_override(target, value if isinstance(value, str) else quote(value), here, folders)
        return write_problem(key, value, f"unknown key; did you mean {meant}?")
    meant = _find_owned(key, here, folders) or suggest(name, names, prefix) or _find_nearly_owned(key, here, folders)
    if not meant:
        elsewhere = {other.rpartition(".")[2]: other for other in reversed(there) if other != key}
        near = get_close_matches(name.lower(), elsewhere, n=1, cutoff=0.75)
        meant = f"; did you mean {elsewhere[near[0]]}?" if near else ""
    allowed = ", ".join(prefix + sibling for sibling in names) or "nothing"
    return write_problem(key, value, f"unknown key{meant} (allowed: {allowed})")


def write_override(target: str, text: str, here: Collection[str] = (), folders: Sequence[Path] = ()) -> str:
    """How a key that a word stands for is set, or a choice: `optimizer.epsilon=0.9, of optimizer=momentum or nesterov`.

    here  the keys that there are: of another one the choices that have it are named
    """
    group, dot, _ = target.partition(".")
    if not dot:
        return f"{group}={translate_choice(group, text) or text}"
    having, others = list_owners(target, folders) if target not in here else ([], [])
    command = "-m " if target.startswith("hydra.sweeper.") else ""
    return f"{command}{target}={text}" + (f", of {_write_either(group, having)}" if having and others else "")


def translate_key(word: str) -> str | None:
    """The key, or the group, that a word of the field stands for; None: it is no such word."""
    return _find_word(_KEY_WORDS, word)


def translate_choice(group: str, word: str) -> str | None:
    """The choice of a group that a word of the field stands for; None: it is no such word."""
    found = _find_word(_CHOICE_WORDS, f"{group}={word}")
    return found and found.partition("=")[2]


def suggest_choice(group: str, choice: object, options: Sequence[str]) -> str:
    """The choice that was probably meant, as the end of a sentence; empty where none is near."""
    if isinstance(choice, list) and len(choice) > 1 and all(one in options for one in choice):
        return f"; several values are a sweep: -m {group}={','.join(choice)}"
    if isinstance(choice, int | float) and not isinstance(choice, bool):
        main = translate_key(f"{group}_threshold")
        return f"; did you mean {write_override(main, quote(choice), (), [find_conf_folder()])}?" if main else ""
    word = quote(choice).strip("'")
    near = translate_choice(group, word)
    if near in options:
        return f"; did you mean {near}?"
    return suggest(word, options) if isinstance(choice, str) else ""


def suggest_values(key: str, value: Any, fits: bool) -> str:
    """How several values of a key are written, where that is what was probably meant; else empty.

    fits  whether each item of a list would be a value
    """
    if isinstance(value, list | tuple) and len(value) > 1 and fits:
        return f"; several values are a sweep: -m {key}={','.join(map(quote, value))}"
    if isinstance(value, str) and (found := _RANGE.fullmatch(value.strip())):
        first, last, count = found.groups()
        # Python's own forms leave the end out.
        inside = count or f"{first},{last if re.search(r':|range', value) else int(last) + 1}"
        return f"; several values are a sweep: -m {key}=range({inside})"
    return ""


def explain_words(text: str) -> str:
    """What was probably meant by a text that sets nothing: `lr 0.1`, `seed = 0`, `rnn`; the end of a sentence."""
    key, _, value = re.sub(r"\s*=\s*|\s+", " ", text.strip(), count=1).partition(" ")
    if not _BARE.fullmatch(key.lstrip("+")) or "=" in value:
        return ""
    if not value:
        owner = next((group for group, choices in _list_shipped().items() if key in choices), None)
        choice = (
            f"{owner}={key}"
            if owner
            else next((choice for words, choice in _CHOICE_WORDS.items() if words.endswith(f"={_fold(key)}")), None)
        )
        if choice:
            return f"; did you mean {choice}?"
    known = "=" in text or "." in key or key == "seed" or key in _list_shipped()
    target = translate_key(key) or (key if known else _find_by_end(key, [find_conf_folder()]))
    return f"; did you mean {write_override(target, _join_value(value) or '…')}?" if target else ""


def join_torn(texts: Sequence[str]) -> list[str]:
    """The texts, those as one, with blanks, that a shell has cut where its user left a blank: `seed`, `=`, `0`.

    Only such as are understood so; none of them could be read by itself.
    """
    groups: list[list[str]] = []
    for text in texts:
        before = groups[-1][-1] if groups else "~"
        goes_on = "=" not in text and not text.startswith("~")
        open_ended = before.endswith(("=", ",", "=range")) or "=" not in before or text.startswith(",")
        if not before.startswith("~") and (text.startswith("=") or (goes_on and open_ended)):
            groups[-1].append(text)
        else:
            groups.append([text])
    whole = [[" ".join(group)] if explain_words(" ".join(group)) else group for group in groups]
    return [text for group in whole for text in group]


def list_owners(key: str, folders: Sequence[Path]) -> tuple[list[str], list[str]]:
    """The choices of a key's group that have the key, and those that have not."""
    group = key.partition(".")[0]
    choices = _read_choices(group, tuple(folders))
    having = [name for name, keys in choices.items() if key in keys]
    return having, [name for name in choices if name not in having]


def _find_owned(key: str, here: Collection[str], folders: Sequence[Path]) -> str:
    """The choices that have a key, or at the top a key of this name, as the end of a sentence."""
    group, dot, name = key.rpartition(".")
    if dot:
        having, _ = list_owners(key, folders)
        return f"; {_write_either(group, having)} has it" if having else ""
    owned = next(
        (own for own in _list_owned(group, folders) if own.rpartition(".")[2] == name and own not in here), None
    )
    return _name_owned(owned, folders) if owned else ""


def _find_nearly_owned(key: str, here: Collection[str], folders: Sequence[Path]) -> str:
    """The same for a key that is spelt nearly like this."""
    group, _, name = key.rpartition(".")
    ends = {own.rpartition(".")[2]: own for own in _list_owned(group, folders) if own not in here}
    near = get_close_matches(name.lower(), ends, n=1, cutoff=0.8)
    return _name_owned(ends[near[0]], folders) if near else ""


def _name_owned(owned: str, folders: Sequence[Path]) -> str:
    having, _ = list_owners(owned, folders)
    return f"; did you mean {owned}, of {_write_either(owned.partition('.')[0], having)}?"


def _list_owned(group: str, folders: Sequence[Path]) -> list[str]:
    """The keys of all choices of a group, or, where it is empty, of all groups."""
    groups = [group] if group else [*_list_shipped(), "train"]
    return [own for one in groups for keys in _read_choices(one, tuple(folders)).values() for own in sorted(keys)]


def _find_by_end(word: str, folders: Sequence[Path]) -> str | None:
    """The first key of all groups whose last part is this word."""
    return next((own for own in _list_owned("", folders) if _fold(own.rpartition(".")[2]) == _fold(word)), None)


def _write_either(group: str, choices: Sequence[str]) -> str:
    *first, last = choices
    return f"{group}={', '.join(first)} or {last}" if first else f"{group}={last}"


@cache
def _read_choices(group: str, folders: tuple[Path, ...]) -> Mapping[str, frozenset[str]]:
    """The choices of a group with the keys of each, in full."""
    import yaml

    found = {}
    for name, path in list_choices(group, folders).items():
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):  # of a user's own, which is told of where it is chosen
            values = None
        if isinstance(values, dict):
            found[name] = frozenset(f"{group}.{key}" for key in values if not str(key).startswith("_"))
        else:
            found[name] = frozenset()
    return found


@cache
def _list_shipped() -> Mapping[str, Collection[str]]:
    """The groups that users choose from, with their shipped choices."""
    groups = ("model", "task", "optimizer", "loss", "init", "clip", "schedule", "regularizer", "experiment", "sweep")
    return {group: list_choices(group, [find_conf_folder()]) for group in groups}


def _join_value(text: str) -> str:
    value = re.sub(r"\s*,\s*", ",", text.strip())
    found = _RANGE.fullmatch(value) if value.lower().startswith("range") else None
    return f"range({found[3] or f'{found[1]},{found[2]}'})" if found else value


def _fold(word: str) -> str:
    return re.sub(r"[^a-z0-9=]", "", word.lower())


def _find_word(words: Mapping[str, str], word: str) -> str | None:
    return words.get(_fold(word))


_KEY_WORDS: Final = {_fold(word): key for key, names in KEYS.items() for word in names.split()}
_CHOICE_WORDS: Final = {
    _fold(f"{choice.partition('=')[0]}={word}"): choice for choice, names in CHOICES.items() for word in names.split()
}
_ABSENT_WORDS: Final = {_fold(word): says for words, says in ABSENT.items() for word in words.split()}


def find_conf_folder() -> Path:
    """The folder of the shipped choices: beside the package in a wheel, in the repository when installed from it."""
    package = Path(bptt.__file__).parent
    in_wheel = package / "conf"
    return in_wheel if in_wheel.is_dir() else package.parents[1] / "conf"


def list_choices(group: str, folders: Sequence[Path]) -> dict[str, Path]:
    """The choices of a group by name, in alphabetical order; the folder that comes first has precedence."""
    found = {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")}
    return dict(sorted(found.items()))
