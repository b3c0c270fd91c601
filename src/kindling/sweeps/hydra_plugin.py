"""Kindling's launchers and grid sweeper for Hydra. Does not import torch."""

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from kindling import UserError
from kindling.files import replacing

if TYPE_CHECKING:
    from kindling.sweeps.sweep import Sweep

MANY = 500  # jobs, which form several groups: worker processes import libraries while the groups are formed


class TogetherLauncher(Launcher):
    """Trains jobs that differ only in values as one batched model, and other jobs individually.

    See kindling.sweeps.launch.

    Args:
        workers: processes for groups and single jobs; null: one per core if that pays off; 0: train in this process.
        most_bytes: approximate memory that a group may take.
        figures: called with the jobs' folders at the end, or null.
    """

    def __init__(self, workers: int | None, most_bytes: float, figures: Callable[[list[Path]], None] | None = None):
        self.workers, self.most_bytes, self.figures = workers, most_bytes, figures

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context = (hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        from kindling.sweeps import pool
        from kindling.sweeps.launch import launch
        from kindling.sweeps.run_job import Context

        if len(job_overrides) > MANY and (pool.cores() if self.workers is None else self.workers) > 1:
            pool.prepare()
        batch = [list(overrides) for overrides in job_overrides]
        return launch(Context(*self.context), batch, self._sweep(), self.figures)

    def _sweep(self) -> Callable[..., "Sweep"]:
        from kindling.sweeps.sweep import Sweep

        return partial(Sweep, workers=self.workers, most_bytes=self.most_bytes)


class RayLauncher(TogetherLauncher):
    """Trains jobs like TogetherLauncher, on a Ray cluster: each group and each single job is one task.

    Args:
        ray: `init`, arguments of ray.init, and `remote`, options of every task, e.g. num_gpus.
        most_bytes, figures: see TogetherLauncher.
    """

    def __init__(self, ray: DictConfig, most_bytes: float, figures: Callable[[list[Path]], None] | None = None):
        super().__init__(workers=0, most_bytes=most_bytes, figures=figures)
        self.ray = cast("dict[str, dict[str, Any]]", OmegaConf.to_container(ray, resolve=True))

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra passes to a launcher.

        Raises:
            UserError: Ray is not installed.
        """
        if importlib.util.find_spec("ray") is None:
            raise UserError('hydra/launcher=ray needs another package: pip install -e ".[ray]"')
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def _sweep(self) -> Callable[..., "Sweep"]:
        from kindling.sweeps.ray_sweep import RaySweep

        return partial(RaySweep, ray=self.ray, most_bytes=self.most_bytes)


class GridSweeper(BasicSweeper):
    """Hydra's basic sweeper, except that a failed job does not end the sweep, and an interrupted sweep can be resumed.

    Args:
        repeat: number of seeds for every variant.
        folds: number of cross-validation folds, or null.
        params: option -> its values in Hydra's override syntax; overrides on the command line take precedence.
    """

    def __init__(self, repeat: int, folds: int | None, params: dict[str, str] | None = None):
        super().__init__(max_batch_size=None, params=params)
        self.repeat, self.folds = repeat, folds

    def sweep(self, arguments: list[str]) -> list:
        from kindling.sweeps.grid import run_with, with_params, with_repetitions

        if self.launcher is None or self.hydra_context is None or self.config is None:
            raise RuntimeError("sweep() needs setup() to be called first")
        overrides = with_repetitions(with_params(arguments, self.params), self.repeat, self.folds)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        (batch,) = self.split_arguments(parser.parse_overrides(overrides), None)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "multirun.yaml") as part:
            OmegaConf.save(self.config, part)
        if isinstance(self.launcher, TogetherLauncher):
            return [self.launcher.launch(batch, 0)]
        return [run_with(self.launcher, self.hydra_context, self.config, batch=batch)]
