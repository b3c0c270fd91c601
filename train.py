"""Train one variant: `python train.py model=deep activation=relu`. `python train.py --help` lists every choice."""

import sys

try:
    from kindling.cli import entry

    if __name__ == "__main__":
        entry.begin()
    import hydra

    from kindling.cli import program, resume
    from kindling.cli.build import build
    from kindling.cli.overrides import command, given, hyperparameters_of, say_notes, wants_test
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
    """Compose, fit, test: the whole path of a run. Returns the best value of the monitored metric."""
    import pytorch_lightning as pl

    from kindling.data.base import model_kwargs
    from kindling.training.run import Run
    from kindling.training.scores import mode_of

    entry.hand_over()
    if cfg.resume:
        cfg, overrides = resume.resumed(cfg, overrides)
    with Run(cfg.folder, command(overrides), bool(cfg.resume), verbose=cfg.verbose, trust=cfg.trust) as run:
        say_notes(cfg, overrides)
        pl.seed_everything(cfg.seed, verbose=False)
        data = build(cfg.data)
        model = build(cfg.model, **model_kwargs(data))
        mode = None if cfg.mode == "auto" or OmegaConf.is_interpolation(cfg, "mode") else cfg.mode
        cfg.mode = mode_of(cfg.monitor, mode, model)
        callbacks = [callback for node in cfg.callbacks.values() if node and (callback := build(node))]
        nodes = (cfg.get("logger") or {}).values()
        loggers = [build(node, mark=run.mark(node._target_)) for node in nodes]
        trainer = build(cfg.trainer, model=model, data=data, callbacks=callbacks, logger=loggers)
        run.begin(trainer, model, data, options=hyperparameters_of(cfg, overrides), cfg=cfg)
        if cfg.resume:
            resume.keep(cfg, overrides)
        plain = not cfg.trust  # whether checkpoints may hold plain data alone
        trainer.fit(model, datamodule=data, ckpt_path=run.checkpoint, weights_only=plain)
        if wants_test(cfg) and run.can_test():
            trainer.test(model, datamodule=data, ckpt_path=run.best_checkpoint, weights_only=plain, verbose=False)
    return run.score


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float | None:
    return train(cfg, given())


if __name__ == "__main__":
    program.start(main)
