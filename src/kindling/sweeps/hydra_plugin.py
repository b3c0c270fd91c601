"""A launcher that trains jobs together, and a sweeper that leaves none behind. Importing this does not take torch."""

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.files import replacing

MANY = 500  # jobs that are several groups: libraries are imported for more processes while the groups are formed


class TogetherLauncher(Launcher):
    """Trains jobs that differ in values alone as one, and the others by themselves; see kindling.sweeps.launch.

    Args:
        workers: processes for groups and for jobs by themselves; null: as many as cores, where it is worth it; 0: none.
        most_bytes: memory that a group may take, about.
        figures: called with the jobs' folders at the end, or null.
    """

    def __init__(self, workers: int | None, most_bytes: float, figures: Callable[[list[Path]], None] | None = None):
        self.workers, self.most_bytes, self.figures = workers, most_bytes, figures

    def setup(self, *, hydra_context, task_function, config: DictConfig) -> None:
        self.context = (hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        from kindling.sweeps import pool
        from kindling.sweeps.alone import Context
        from kindling.sweeps.launch import launch

        if len(job_overrides) > MANY and (pool.cores() if self.workers is None else self.workers) > 1:
            pool.prepare()
        return launch(Context(*self.context), job_overrides, self._sweep(), self.figures)

    def _sweep(self) -> Callable:
        from kindling.sweeps.sweep import Sweep

        return partial(Sweep, workers=self.workers, most_bytes=self.most_bytes)


class RayLauncher(TogetherLauncher):
    """The same on a Ray cluster: a group is one task, and so is every job that is trained by itself.

    Args:
        ray: `init`, arguments of ray.init, and `remote`, options of every task, e.g. num_gpus.
        most_bytes, figures: as TogetherLauncher.
    """

    def __init__(self, ray: DictConfig, most_bytes: float, figures: Callable[[list[Path]], None] | None = None):
        super().__init__(workers=0, most_bytes=most_bytes, figures=figures)
        self.ray = OmegaConf.to_container(ray, resolve=True)

    def setup(self, *, hydra_context, task_function, config: DictConfig) -> None:
        """As of every launcher of Hydra.

        Raises:
            UserError: Ray is not installed.
        """
        if importlib.util.find_spec("ray") is None:
            raise UserError('hydra/launcher=ray needs another package: pip install -e ".[ray]"')
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def _sweep(self) -> Callable:
        from kindling.sweeps.ray_sweep import RaySweep

        return partial(RaySweep, ray=self.ray, most_bytes=self.most_bytes)


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
