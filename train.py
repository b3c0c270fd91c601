"""Train one model: `python train.py model=deep activation=relu`. `python train.py --help` lists all options."""

import _signal  # type: ignore[import-not-found]
import sys

if __name__ == "__main__":
    # Unlike `signal`, _signal imports nothing, and during an import, a Ctrl-C would print a traceback.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until entry.begin
try:
    from kindling.cli import entry

    if __name__ == "__main__":
        entry.begin()
    import hydra

    from kindling.cli import program
    from kindling.cli.build import build
    from kindling.cli.folders import resume
    from kindling.cli.overrides import command, hyperparameters_of, log_notes, task_overrides, wants_test
except ModuleNotFoundError as error:
    print(
        f"{error.name} is not installed for {sys.executable}.\n"
        "Run `make train` once, then activate its environment:\n"
        "  source .venv/bin/activate    (Windows: .venv\\Scripts\\activate)",
        file=sys.stderr,
    )
    sys.exit(2)
from omegaconf import DictConfig, OmegaConf


def train(cfg: DictConfig, overrides: list[str]) -> float | None:
    """Fit and test a model as configured, and return the best value of the monitored metric."""
    import pytorch_lightning as pl

    from kindling.data.base import model_kwargs
    from kindling.training.loggers import position
    from kindling.training.monitored import mode_of
    from kindling.training.run import Run

    entry.raise_on_signals()
    if cfg.resume:
        cfg, overrides = resume.load_config(cfg, overrides)
    with Run(cfg.folder, command(overrides), bool(cfg.resume), verbose=cfg.verbose, trust=cfg.trust) as run:
        log_notes(cfg, overrides)
        pl.seed_everything(cfg.seed, verbose=False)
        data = build(cfg.data)
        model = build(cfg.model, **model_kwargs(data))
        mode = None if cfg.mode == "auto" or OmegaConf.is_interpolation(cfg, "mode") else cfg.mode
        cfg.mode = mode_of(cfg.monitor, mode, model)
        callbacks = [callback for node in cfg.callbacks.values() if node and (callback := build(node))]
        run.check_epochs(cfg.trainer.get("max_epochs"))
        nodes = (cfg.get("logger") or {}).values()
        loggers = [build(node, **position(node._target_, run.marks)) for node in nodes]
        trainer = build(cfg.trainer, model=model, data=data, callbacks=callbacks, logger=loggers)
        run.begin(trainer, model, data, options=hyperparameters_of(cfg, overrides), cfg=cfg)
        if cfg.resume and run.first:
            resume.save_config(cfg, overrides)
        weights_only = not cfg.trust
        trainer.fit(model, datamodule=data, ckpt_path=run.checkpoint, weights_only=weights_only)
        if wants_test(cfg) and run.can_test():
            trainer.test(
                model, datamodule=data, ckpt_path=run.best_checkpoint, weights_only=weights_only, verbose=False
            )
    return run.score


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float | None:
    return train(cfg, task_overrides())


if __name__ == "__main__":
    program.start(main)
