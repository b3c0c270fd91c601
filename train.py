"""Train one variant: `python train.py model=deep activation=relu`. `python train.py --help` lists every choice."""

import sys

try:
    from kindling import entry

    if __name__ == "__main__":
        entry.begin()
    import hydra

    from kindling import arguments, cli, resume
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

    from kindling.run import Run
    from kindling.scores import mode_of

    entry.hand_over()
    if cfg.resume:
        cfg, overrides = resume.resumed(cfg, overrides)
    with Run(cfg.folder, cli.command(overrides), bool(cfg.resume), cfg.verbose, cfg.trust) as run:
        cli.say_notes(cfg, overrides)
        pl.seed_everything(cfg.seed, verbose=False)
        data = cli.build(cfg.data)
        model = cli.build(cfg.model, **(data.facts() if hasattr(data, "facts") else {}))
        given = None if cfg.mode == "auto" or OmegaConf.is_interpolation(cfg, "mode") else cfg.mode
        cfg.mode = mode_of(cfg.monitor, given, model)
        callbacks = [callback for node in cfg.callbacks.values() if node and (callback := cli.build(node))]
        nodes = (cfg.get("logger") or {}).values()
        loggers = [cli.build(node, mark=run.mark(node._target_)) for node in nodes]
        trainer = cli.build(cfg.trainer, model=model, data=data, callbacks=callbacks, logger=loggers)
        run.begin(trainer, model, data, cli.hyperparameters_of(cfg, overrides), cfg)
        if cfg.resume:
            resume.keep(cfg, overrides)
        plain = not cfg.trust  # whether checkpoints may hold plain data alone
        trainer.fit(model, datamodule=data, ckpt_path=run.checkpoint, weights_only=plain)
        if cli.wants_test(cfg) and run.can_test():
            trainer.test(model, datamodule=data, ckpt_path=run.best_checkpoint, weights_only=plain, verbose=False)
    return run.score


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float | None:
    return train(cfg, list(hydra.core.hydra_config.HydraConfig.get().overrides.task))


if __name__ == "__main__":
    if {"--help", "-h"} & set(sys.argv):
        sys.exit(print(cli.help_text()))
    with cli.plain_errors():
        arguments.check(sys.argv[1:])
        sys.argv[1:] = resume.expand(sys.argv[1:])
        main()
