"""A launcher that trains jobs together, and a sweeper that leaves none behind. Importing this does not take torch."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from kindling.files import replacing


class TogetherLauncher(Launcher):
    """Trains jobs that differ in values alone as one, and the others by themselves; see kindling.sweeps.launch.

    Args:
        workers: processes for groups and for jobs by themselves; null: as many as cores, where it is worth it; 0: none.
        most_bytes: memory that a group may take, about.
        figures: called with the jobs' folders at the end, or null.
    """

    def __init__(self, workers: int | None, most_bytes: float, figures: Callable[[list[Path]], None] | None = None):
        self.options = {"workers": workers, "most_bytes": most_bytes, "figures": figures}

    def setup(self, *, hydra_context, task_function, config: DictConfig) -> None:
        self.context = (hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        from kindling.sweeps.alone import Context
        from kindling.sweeps.launch import launch

        return launch(Context(*self.context), job_overrides, **self.options)


class GridSweeper(BasicSweeper):
    """Hydra's own sweeper, but a job that fails does not end it, and a sweep that was begun goes on.

    Args:
        repeat: seeds of every variant.
        folds: of a cross-validation, or null.
        params: knob -> its values, as they would be typed; what is typed goes before it.
    """

    def __init__(self, repeat: int, folds: int | None, params: dict[str, str] | None = None):
        super().__init__(max_batch_size=None, params=params)
        self.repeat, self.folds = repeat, folds

    def sweep(self, arguments: list[str]) -> list:
        from kindling.sweeps.grid import shorthand, through, with_params

        words = shorthand(with_params(arguments, self.params), self.repeat, self.folds)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        (batch,) = self.split_arguments(parser.parse_overrides(words), None)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "multirun.yaml") as part:
            OmegaConf.save(self.config, part)
        if isinstance(self.launcher, TogetherLauncher):
            return [self.launcher.launch(batch, 0)]
        return [through(self.launcher, self.hydra_context, self.config, batch=batch)]
