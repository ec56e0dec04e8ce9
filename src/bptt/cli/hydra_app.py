"""A command of `bptt` whose arguments are Hydra's: overrides, -m, --cfg, --help, --config-dir, tab completion.

Everything that is asked for is composed and checked before Hydra starts anything, so a wrong request leaves nothing
behind. `--config-dir DIR` adds the user's own choices to the shipped ones.
"""

import argparse
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from omegaconf import DictConfig

from bptt.cli.common import refuse, say
from bptt.configuration.errors import ConfigurationError, explain_shortage, write_problem
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.annotations import InvalidValue
from bptt.sweeps.task import SweepTask
from bptt.sweeps.workers.calls import Stopped
from bptt.tracking.store.address import StoreError, hide_passwords, refuse_password

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader

    from bptt.configuration.build import Configuration
    from bptt.configuration.compose import Composer


class HydraTask:
    """What Hydra is given to call, job by job: the exit codes, which Hydra would drop, are kept.

    one  gets a checked configuration; what it returns is an exit code, None for 0
    """

    def __init__(self, one: "Callable[[Configuration], int | None]") -> None:
        self._one, self._codes, self.begun = one, list[int](), False
        #: Of a single run, which was checked before anything started.
        self.configuration: Configuration | None = None

    def hold(self, folder: Path) -> AbstractContextManager[None]:  # noqa: ARG002 (of those that write)
        """Hold the folder that Hydra is about to write to for one job. Raises ConfigurationError where it is taken."""
        return nullcontext()

    def __call__(self, config: DictConfig, /) -> int:
        from bptt.configuration.build import check_configuration

        self.begun = True
        try:
            self._codes.append(self._one(self.configuration or check_configuration(config)) or 0)
        except ConfigurationError as error:
            print(hide_passwords("\n".join(error.lines)), file=sys.stderr)
            self._codes.append(2)
        return self._codes[-1]

    @property
    def code(self) -> int:
        """2 where nothing was started, 1 where something failed."""
        return 2 if self._codes and set(self._codes) == {2} else int(any(self._codes))


class WholeTask(HydraTask, SweepTask):
    """A task that takes all jobs of a sweep at once, trains none, and so needs no -m where several values are given."""

    def __init__(self) -> None:
        super().__init__(self._refuse)

    def _refuse(self, _configuration: "Configuration") -> int:
        raise AssertionError("is called by the launcher lanes alone, and for all jobs at once")

    def take_one(self, config: DictConfig, loader: "ConfigLoader", job: Sequence[str]) -> None:
        """Take a single run, given by its overrides."""
        self.sweep(config, loader, [job])


def run(
    argv: Sequence[str],
    task: "HydraTask | Callable[[Configuration], int | None]",
    command: str = "bptt train",
    settings: Sequence[str] = (),
) -> int:
    """Run a task with the configuration, or with each configuration, that argv asks for; returns the exit code.

    task      what is done with a configuration, see `HydraTask`; an exception ends it with 1. A `SweepTask` gets all
              jobs of a sweep at once, from the launcher `lanes`
    command   as the user types it: `bptt train`
    settings  overrides that hold unless argv has others
    """
    from bptt.configuration.hydra import arguments_parser, choose_defaults

    choose_defaults()
    parser = arguments_parser()
    parser.prog = command
    parser.error = partial(_refuse_arguments, command, argv)  # type: ignore[method-assign]
    args = parser.parse_intermixed_args([*argv])  # -m may stand between overrides
    try:
        for override in args.overrides:
            refuse_password(override)  # Hydra would keep it in its files
        calls = task if isinstance(task, HydraTask) else HydraTask(task)
        return _Application(calls, args, parser, command, settings).run()
    except Stopped as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except ConfigurationError as error:
        print(hide_passwords("\n".join(error.lines)), file=sys.stderr)
        return 2
    except (StoreError, InvalidValue) as error:  # the latter of an environment variable: others were told before
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise  # see `main`
    except Exception as error:
        print(explain_shortage(error) or hide_passwords(traceback.format_exc()).rstrip(), file=sys.stderr)
        return 1


def _refuse_arguments(command: str, argv: Sequence[str], message: str) -> NoReturn:
    """Say what is wrong; of an option that stands for a key, how that is set."""
    from bptt.configuration.vocabulary import explain_words

    said, _, unknown = message.partition("unrecognized arguments: ")
    option = unknown.partition(" ")[0]
    if said or not option.startswith("-"):
        refuse(command, message)
    after = [text for text in argv[argv.index(option) + 1 :][:1] if not text.startswith("-")]
    meant = explain_words(" ".join([option.lstrip("-"), *after]))
    refuse(command, f"unrecognized arguments: {option}{meant}" if meant else message)


@contextmanager
def _shown_log(verbose: Any, shown_by_hydra: Any) -> Iterator[None]:
    """Show the log on stderr where hydra.verbose asks for it: of all of bptt, or of the loggers that it names.

    shown_by_hydra: Hydra's own settings of a log; where they show one, that is it
    """
    names = (
        [] if verbose is False else ["bptt"] if verbose is True else [verbose] if isinstance(verbose, str) else verbose
    )
    loggers = [] if shown_by_hydra and shown_by_hydra.get("root") else [logging.getLogger(name) for name in names]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _tell(composer: "Composer") -> None:
    """Say what fell away, where nobody has said it yet."""
    for line in composer.take_told():
        say(line)


def _give_composed(config: DictConfig, **_asked: Any) -> DictConfig:
    """In the place of Hydra's `compose_config` for several runs, which would compose the same once more."""
    from hydra.core.utils import configure_log

    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    return config


class _Application:
    def __init__(
        self,
        task: HydraTask,
        args: argparse.Namespace,
        parser: argparse.ArgumentParser,
        command: str,
        settings: Sequence[str],
    ) -> None:
        self._calls, self._args, self._parser = task, args, parser
        self._typed = [*args.overrides]
        given = {override.partition("=")[0].lstrip("+~") for override in args.overrides}
        settings = [f"hydra.help.app_name='{command}'"] if args.help else settings
        ours = [setting for setting in settings if setting.partition("=")[0] not in given]
        args.overrides = [*ours, *args.overrides]
        self._config_name = args.config_name or "config"

    def run(self) -> int:
        from hydra._internal.hydra import Hydra
        from hydra._internal.utils import create_config_search_path
        from hydra.core.global_hydra import GlobalHydra

        from bptt.configuration.compose import add_folder

        args = self._args
        if args.experimental_rerun is not None:
            raise ConfigurationError(["--experimental-rerun: reads a pickle, which bptt does not"])
        shipped = self._folder("--config-path", args.config_path) if args.config_path else find_conf_folder()
        path = create_config_search_path(str(shipped))
        if args.config_dir is not None:
            add_folder(path, self._folder("--config-dir", args.config_dir))
        try:
            hydra = Hydra.create_main_hydra2(task_name="bptt", config_search_path=path)
            return self._dispatch(hydra)
        finally:
            GlobalHydra.instance().clear()

    def _dispatch(self, hydra: Any) -> int:
        from bptt.configuration.compose import Composer

        args, overrides, name = self._args, self._args.overrides, self._config_name
        chosen = [flag for flag in ("run", "multirun", "cfg", "info", "shell_completion") if getattr(args, flag)]
        if len(chosen) > 1:
            raise ConfigurationError([f"--{chosen[0]} and --{chosen[1]} don't go together".replace("_", "-")])
        if args.shell_completion:
            hydra.shell_completion(config_name=name, overrides=overrides)
            return 0
        if args.hydra_help:
            hydra.hydra_help(config_name=name, args_parser=self._parser, args=args)
            return 0
        shows = [flag for flag in ("resolve", "package") if getattr(args, flag) and not args.cfg]
        if shows:
            raise ConfigurationError([f"--{shows[0]}: says how --cfg job is shown; give that too"])
        composer = Composer(hydra.config_loader, name)
        hydra.config_loader = composer.loader
        if args.help or args.cfg or args.info:
            composer.compose(overrides)
            _tell(composer)
            self._show(hydra)
            return 0
        code = self._train(hydra, composer)
        _tell(composer)
        return code

    def _show(self, hydra: Any) -> None:
        args, overrides, name = self._args, self._args.overrides, self._config_name
        if args.help:
            hydra.app_help(config_name=name, args_parser=self._parser, args=args)
        elif args.cfg:
            hydra.show_cfg(
                config_name=name, overrides=overrides, cfg_type=args.cfg, package=args.package, resolve=args.resolve
            )
        else:
            hydra.show_info(args.info, config_name=name, overrides=overrides)

    def _train(self, hydra: Any, composer: "Composer") -> int:
        from hydra.types import RunMode

        from bptt.configuration.hydra import asks_for_sweep, refuse_unused
        from bptt.configuration.owners import check_kernel_folder
        from bptt.sweeps.composing import check_single

        args, overrides = self._args, self._args.overrides
        several = composer.sweeps(overrides)
        mode = RunMode.MULTIRUN if args.multirun or several else RunMode.RUN
        config = composer.compose(overrides, mode)
        parsed, _ = composer.parse(self._typed)
        sweep = asks_for_sweep(config, parsed, multirun=args.multirun, single=args.run)
        if isinstance(self._calls, WholeTask) and not (args.run or config.hydra.mode is RunMode.RUN):
            sweep = sweep or several or config.get("tune") is not None or config.get("confirm") is not None
        check_kernel_folder()
        if sweep:
            refuse_unused(config, parsed, sweep)
            self._check_jobs(composer, config)
            if mode is RunMode.MULTIRUN:
                hydra.compose_config = partial(_give_composed, config)
            with _shown_log(config.hydra.verbose, config.hydra.hydra_logging):
                hydra.multirun(config_name=self._config_name, task_function=self._calls, overrides=overrides)
            return self._calls.code
        if several:
            composer.compose(overrides)  # says that this needs -m
        self._calls.configuration = configuration = check_single(config, parsed, overrides)
        if isinstance(self._calls, WholeTask):
            self._calls.take_one(config, composer.loader, [*config.hydra.overrides.task])
            return 0
        _tell(composer)
        if configuration.told is not None:
            say(configuration.told)
        hydra.compose_config = lambda **_: config  # which Hydra would compose once more
        try:
            with (
                self._calls.hold(Path(config.hydra.run.dir)),
                _shown_log(config.hydra.verbose, config.hydra.job_logging),
            ):
                hydra.run(config_name=self._config_name, task_function=self._calls, overrides=overrides)
        except OSError as error:
            if self._calls.begun:
                raise
            says = f"can't be written: {error.strerror or error}"  # which Hydra tries first
            raise ConfigurationError([write_problem("hydra.run.dir", config.hydra.run.dir, says)]) from None
        return self._calls.code

    def _check_jobs(self, composer: "Composer", config: DictConfig) -> None:
        """Check all jobs of a task that is called job by job: one that takes them at once does so by itself."""
        if isinstance(self._calls, SweepTask):
            return
        from bptt.sweeps.jobs.composition import Composition, expand_sweep

        overrides = [text for text in self._args.overrides if not text.lstrip("+~").startswith("hydra")]
        Composition(composer, config).all(expand_sweep(config, overrides, composer.loader))

    def _folder(self, flag: str, text: str) -> Path:
        folder = Path(text).absolute()
        if not folder.is_dir():
            raise ConfigurationError([f"{flag} {text}: no such folder"])
        return folder
