"""Suggestions for unknown options and choices: their names in other tools, and the nearest known name."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from kindling.cli.conf import options

# option -> its names in other tools
SYNONYMS = {
    "lr": "learning_rate learningrate learn_rate lr0 eta eta0 alpha step_size learning_rate_init base_lr init_lr rate",
    "epochs": "epoch n_epochs max_epochs num_epochs nepochs nb_epoch max_epoch num_train_epochs max_iter iterations",
    "batch_size": "bs batch batchsize batch_sz mini_batch minibatch mini_batch_size train_batch_size n_batch",
    "weight_decay": "wd l2 weightdecay l2_penalty l2_reg reg_lambda decay reg lambda",
    "l1": "l1_penalty l1_reg lasso",
    "clip": "grad_clip clip_norm clip_grad gradient_clip_val gradient_clip max_norm max_grad_norm clipnorm",
    "width": "units hidden_size hidden_dim hidden_units neurons n_hidden n_units num_hidden num_units hidden_features",
    "depth": "layers n_layers num_layers nlayers n_hidden_layers num_hidden_layers hidden_layers",
    "hidden_sizes": "hidden hiddens hidden_layer_sizes layer_sizes hidden_dims sizes",
    "activation": "act activations activation_fn act_fn nonlinearity nonlin activation_function",
    "dropout": "drop dropout_rate drop_rate dropout_p p_dropout dropout_prob",
    "batch_norm": "bn batchnorm use_bn use_batch_norm batch_normalization norm",
    "init": "initializer initialization initialisation weight_init init_method kernel_initializer weights",
    "loss": "loss_fn criterion objective loss_function cost",
    "label_smoothing": "smoothing",
    "calibrate": "calibration temperature temperature_scaling",
    "patience": "early_stopping early_stop n_iter_no_change early_stopping_patience earlystopping",
    "monitor": "metric watch",
    "max_steps": "steps n_steps num_steps total_steps",
    "precision": "dtype amp fp16 bf16 mixed_precision",
    "scale": "scaler scaling normalize normalise standardize standardise preprocessing",
    "seed": "random_state random_seed manual_seed rng seed_everything",
    "repeat": "repeats n_repeats seeds n_seeds",
    "folds": "cv kfold k_fold k_folds n_folds num_folds n_splits",
    "resume": "checkpoint ckpt ckpt_path resume_from resume_from_checkpoint",
    "data": "dataset datamodule datasets",
    "model": "net network arch architecture",
    "optimizer": "opt optim optimiser solver",
    "schedule": "scheduler lr_scheduler lr_schedule sched",
    "trainer": "device accelerator gpu gpus cuda cpu",
    "logger": "log loggers tb tensorboard wandb",
    "data.path": "path file csv filename data_path train_path data_file",
    "data.target": "target targets label labels target_column y y_col",
    "data.val_share": "val_share val_size val_split validation_split val_fraction",
    "data.test_share": "test_share test_size test_split test_fraction",
    "optimizer=momentum": "momentum",
    "optimizer=nesterov": "nesterov",
    "hydra.run.dir": "output_dir out_dir save_dir log_dir output",
    "sweep.name": "run_name exp_name",
}
CANONICAL_NAMES = {synonym: option for option, synonyms in SYNONYMS.items() for synonym in synonyms.split()}
CHOICES = {  # name of a choice in other tools -> choice of a group
    **dict.fromkeys(("mlp", "dense", "fc", "nn", "dnn", "net", "feedforward"), "deep"),
    **dict.fromkeys(("conv", "convnet", "lenet", "cnn2d"), "cnn"),
    **dict.fromkeys(("logreg", "logistic_regression", "softmax", "perceptron"), "logistic"),
    **{"linear_regression": "linear", "ols": "linear", "shallow": "wide", "wide_and_deep": "wide_deep"},
    **{"rms": "rmsprop", "sgd_momentum": "momentum", "nag": "nesterov", "adam_w": "adamw", "one_cycle": "onecycle"},
    **dict.fromkeys(("cosine_annealing", "cosineannealinglr", "cosine_decay"), "cosine"),
    **{"reduce_on_plateau": "plateau", "reducelronplateau": "plateau", "steplr": "step", "onecyclelr": "onecycle"},
    **{"pima": "diabetes", "digits": "mnist_sample", "circles": "ring", "tb": "tensorboard", "cuda": "gpu"},
    **{"quick": "fast", "dev": "fast", "fast_dev_run": "fast"},
}


def canonical_name(name: str, siblings: Iterable[str] = ()) -> str | None:
    """Return the option that other tools call `name`, or None.

    Args:
        name: the unknown name.
        siblings: names in the same node of the config, which are preferred.
    """
    name = name.lower().replace("-", "_")
    canonical = CANONICAL_NAMES.get(name, name)
    same = [sibling for sibling in siblings if CANONICAL_NAMES.get(sibling, sibling) == canonical]
    option = CANONICAL_NAMES.get(name, "")
    exists = re.split(r"[.=]", option)[0] in {*options(), "hydra"}  # its part of the package may be stripped
    return same[0] if same else option if exists else None


def suggest(name: str, known: Iterable[str], meant: str | None = None) -> str:
    """Return " Did you mean ...? Known: ...", to be appended to the message that `name` is unknown."""
    known = sorted(set(known))
    lower = {choice.lower(): choice for choice in known}
    near = [lower[match] for match in get_close_matches(name.lower(), lower, 1)]
    guess = meant or next(iter(near), None)
    return (f" Did you mean {guess}?" if guess else "") + (f" Known: {', '.join(known)}." if known else "")


def suggest_choice(name: str, known: Iterable[str]) -> str:
    """Return the same text for an unknown choice of a group."""
    known = set(known)
    meant = CHOICES.get(name.lower())
    return suggest(name, known, meant if meant in known else None)
