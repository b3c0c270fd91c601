"""Measure a sweep of 100 jobs, 20 seeds x 5 learning rates, and print ratios to the time of training them together.

    python tests/benchmarks/sweep.py                        # 3 rounds, Adam: about 10 minutes on two cores
    python tests/benchmarks/sweep.py --optimizers adam sgd
    python tests/benchmarks/sweep.py --grid                 # 90 jobs: activations x depths x optimizers x seeds
    python tests/benchmarks/sweep.py --dropout              # 100 jobs: learning rates x dropout rates x seeds
    python tests/benchmarks/sweep.py --thousand             # 1,000 jobs together: seconds, first step, memory

The jobs are trained together and one after the other (hydra/launcher=basic) by Kindling, by a typical ("stock")
Lightning module with Hydra, by scikit-learn in two processes, and by a raw PyTorch loop without logging. Times are
those of the command without imports: composing configs, training and writing files. Slow ways are measured once with
fewer jobs and scaled up. Every job's logged metrics are counted before a ratio is printed.
"""

import argparse
import contextlib
import importlib
import itertools
import json
import os
import pkgutil
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import hydra
import joblib
import overhead
import pandas as pd
import torch._dynamo  # the first optimizer of a process imports it
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from torch.optim.optimizer import register_optimizer_step_pre_hook

import kindling
from kindling.cli.build import build

NETS = [8, 6, 4, 1], [2, 25, 25, 1]
RATES = {"adam": "lr=0.001,0.003,0.01,0.03,0.1", "sgd": "lr=0.01,0.03,0.1,0.2,0.3"}
DROPOUT = "dropout=0,0.1,0.3,0.5"
GRID = ["activation=sigmoid,tanh,relu", "depth=1,2,4", "optimizer=sgd,adam"]
TAGS = {f"{stage}/{name}" for stage in ("train", "val") for name in overhead.NAMES}
WAYS = ("basic", "stock", "sklearn", "raw")
BOUNDS = {"must": ("", 15, 100, 8, 8), "goal": ("", 25, 200, 12, 12)}  # of the ratios


def product(axes: list[str]) -> list[tuple[str, ...]]:
    values = ([f"{axis.split('=')[0]}={value}" for value in axis.split("=")[1].split(",")] for axis in axes)
    return list(itertools.product(*values))


def random_table(sizes: list[int], optimizer: str, folder: str) -> list[str]:
    """Write the data of overhead.py as a CSV, and return the overrides that all jobs share."""
    samples, path = overhead.RandomSamples(sizes[0]).load(), f"{folder}/{sizes[0]}_columns.csv"
    pd.DataFrame(torch.cat([samples.x, samples.y], 1), columns=[*range(sizes[0]), "label"]).to_csv(path, index=False)
    share = overhead.VAL / (overhead.TRAIN + overhead.VAL)
    data = ["data=csv", f"data.path={path}", "data.target=label", "data.task=binary", "scale=none"]
    split = [f"data.val_share={share}", "data.test_share=0", f"batch_size={overhead.BATCH}"]
    return [*data, *split, f"hidden_sizes={sizes[1:-1]}", f"optimizer={optimizer}"]


def command(launcher: str, fixed: list[str], axes: list[str], seeds: int) -> dict:
    """Measure `train.py -m` in a new process."""
    overrides = [f"hydra/launcher={launcher}", *fixed, f"epochs={overhead.EPOCHS}", *axes, f"seed=range(0,{seeds})"]
    return start_child("kindling", overrides, seeds * len(product(axes)))


def stock(sizes: list[int], optimizer: str, seeds: int) -> float:
    """Measure one seed, and scale up."""
    target = {"adam": "torch.optim.Adam", "sgd": "torch.optim.SGD"}[optimizer]
    overrides = [f"sizes={sizes}", f"epochs={overhead.EPOCHS}", f"optimizer._target_={target}", RATES[optimizer]]
    return start_child("stock", overrides, 5)["seconds"] * seeds


def sklearn(sizes: list[int], optimizer: str, seeds: int) -> float:
    from sklearn.neural_network import MLPClassifier

    os.environ["PYTHONWARNINGS"] = "ignore"  # about convergence, in the workers
    data, _ = overhead.net(sizes)
    x, y = (part.numpy() for part in data.samples["train"])
    jobs = itertools.product(map(float, RATES[optimizer][3:].split(",")), range(seeds))
    same = {"solver": optimizer, "batch_size": overhead.BATCH, "momentum": 0, "alpha": 0, "max_iter": overhead.EPOCHS}
    same |= {"n_iter_no_change": overhead.EPOCHS + 1, "hidden_layer_sizes": sizes[1:-1]}
    nets = [MLPClassifier(learning_rate_init=lr, random_state=seed, **same) for lr, seed in jobs]
    for some in (nets[:8], nets):  # the first batch makes the workers import
        start = time.perf_counter()
        nets = joblib.Parallel(n_jobs=2)(joblib.delayed(net.fit)(x, y[:, 0]) for net in some)
        seconds = time.perf_counter() - start
    assert [net.n_iter_ for net in nets] == 5 * seeds * [overhead.EPOCHS]
    return seconds


def raw(fixed: list[str], axes: list[str], seeds: int) -> float:
    """Measure only training, one network after the other."""
    seconds, loss_of = 0.0, torch.nn.functional.binary_cross_entropy_with_logits
    for overrides in product(axes):
        with hydra.initialize_config_dir(str(overhead.PROJECT / "conf"), version_base="1.3"):
            cfg = hydra.compose("config", [*fixed, *overrides, "optimizer.fused=false"])
        data = build(cfg.data)
        facts, (x, y) = data.model_kwargs(), data.samples["train"]
        for seed in range(seeds):
            torch.manual_seed(seed)
            layers = build(cfg.model, **facts).net
            opt = build(cfg.optimizer)(layers.parameters())
            start = time.perf_counter()
            for _ in range(overhead.EPOCHS):
                for batch in torch.randperm(len(x)).split(overhead.BATCH):
                    opt.zero_grad()
                    loss_of(layers(x[batch]), y[batch]).backward()
                    opt.step()
            seconds += time.perf_counter() - start
    return seconds


# Folders of all commands, deleted at the end: ext4 creates files much more slowly just after many were deleted.
kept = contextlib.ExitStack()


def start_child(way: str, overrides: list[str], jobs: int) -> dict:
    folder = kept.enter_context(tempfile.TemporaryDirectory())
    line = [sys.executable, __file__, "--child", way, "-m", *overrides, "hydra.sweep.dir=sweep"]
    environment, start = {**os.environ, "TMPDIR": folder}, time.time()
    process = subprocess.run(line, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    if process.returncode:
        sys.exit(f"{process.stdout[-3000:]}{process.stderr[-3000:]}\nexit code {process.returncode}: {' '.join(line)}")
    measured = json.loads(process.stdout.splitlines()[-1])
    assert measured["jobs"] == jobs, f"{measured['jobs']} of {jobs} jobs: {' '.join(line)}"
    return {**measured, "first_step": measured["first_step"] - start}


def child(way: str, overrides: list[str]) -> None:
    """Import everything, run the command, and print the measurements as the last line."""
    sys.argv, steps = [str(overhead.PROJECT / "train.py"), *overrides], []
    overhead.EPOCHS = next(int(o.partition("=")[2]) for o in overrides if o.startswith("epochs="))
    Plugins.instance()  # executes Hydra's modules again, so before anything imports their classes
    for module in pkgutil.walk_packages(kindling.__path__, "kindling."):
        with contextlib.suppress(ModuleNotFoundError):  # in an extra whose library is not installed
            importlib.import_module(module.name)
    register_optimizer_step_pre_hook(lambda *_: None if steps else steps.append(time.time()))
    imported, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        stock_job() if way == "stock" else runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    seconds = time.perf_counter() - start - sum(outside)
    # On Linux in KB, and at least that of the parent, which imports the same.
    kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - imported
    jobs = len(outside) if way == "stock" else finished()
    measured = {"seconds": seconds, "mb": kb / 1024, "jobs": jobs, "first_step": [*steps, float("nan")][0]}
    print(f"\n{json.dumps(measured)}")


def finished() -> int:
    """Return the number of jobs, after checking that each is complete."""
    results = list(Path("sweep").glob("*/result.json"))
    for result in results:
        status, job = json.loads(result.read_text(encoding="utf-8"))["status"], result.parent
        assert status == "finished", f"{job}: {status}"
        assert len((job / "metrics.csv").read_text(encoding="utf-8").splitlines()) == 1 + overhead.EPOCHS, job
        assert {"best.ckpt", "last.ckpt"} <= {path.name for path in job.glob("checkpoints/*")}, job
        overhead.count_scalars(str(job), TAGS)
    return len(results)


outside = []  # seconds in which a stock job makes its data and counts its metrics
adam = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": "${lr}", "fused": True}
ConfigStore.instance().store("stock", {"sizes": NETS[0], "lr": 0.003, "epochs": 100, "optimizer": adam})


@hydra.main(version_base="1.3", config_path=None, config_name="stock")
def stock_job(cfg) -> None:
    torch.set_num_threads(1)
    start = time.perf_counter()
    seconds = overhead.stock(list(cfg.sizes), build(cfg.optimizer))
    outside.append(time.perf_counter() - start - seconds)


def compare(options, title: str, sweep: tuple[list, list, int], others: dict) -> str:
    """Return a row of the table: seconds of the jobs trained together, and ratios to it, from medians."""
    fixed, axes, seeds = sweep
    some = seeds if options.full else min(seeds, max(1, options.basic_jobs // len(product(axes))))
    ways = {
        "together": lambda: command(options.launcher, *sweep)["seconds"],
        "basic": lambda: command("basic", fixed, axes, some)["seconds"] * seeds / some,
        **others,
        "raw": lambda: raw(*sweep),
    }
    times = {name: [] for name in ways}
    for turn in range(options.rounds):
        for name in [name for name in ways if turn == 0 or name not in ("basic", "stock")]:
            times[name].append(ways[name]())
            print(f"{title:14} {name:8} {times[name][-1]:8.2f} s", flush=True)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    cells = [f"{seconds[name] / seconds['together']:9.1f}" if name in ways else " " * 9 for name in WAYS]
    scaled = f"basic by {some}" + " and stock by 1" * bool(others)
    return f"{title:14}{seconds['together']:8.2f} s{''.join(cells)}   {scaled} of {seeds} seeds, scaled up"


def thousand(options, title: str, sweep: tuple[list, list, int], others: dict) -> str:
    m = command(options.launcher, *sweep)
    first = f"the first step {m['first_step']:.1f} s after the command (imports included)"
    return f"{title:14}{m['seconds']:8.2f} s for {m['jobs']} jobs, {first}, {m['mb']:.0f} MB above the imports"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--optimizers", nargs="+", choices=RATES, default=["adam"])
    parser.add_argument("--basic-jobs", type=int, default=20, help="with hydra/launcher=basic, scaled up")
    for flag in ("--full", "--grid", "--dropout", "--thousand"):
        parser.add_argument(flag, action="store_true")
    for name, default in {"--seeds": 0, "--epochs": 100, "--launcher": "together"}.items():  # to try the script
        parser.add_argument(name, type=type(default), default=default, help=argparse.SUPPRESS)
    options = parser.parse_args()
    overhead.EPOCHS = options.epochs
    torch.set_num_threads(1)  # like overhead.py
    seeds = options.seeds or (5 if options.grid or options.dropout else 200 if options.thousand else 20)
    row, rows = thousand if options.thousand else compare, []
    if options.grid:
        rows.append(compare(options, "grid", (["data=diabetes"], GRID, seeds), {}))
    for sizes, kind in [] if options.grid else itertools.product(NETS, options.optimizers):
        with tempfile.TemporaryDirectory() as folder:
            others = {way.__name__: partial(way, sizes, kind, seeds) for way in (stock, sklearn)}
            sweep = random_table(sizes, kind, folder), [RATES[kind]], seeds
            if options.dropout:
                sweep[1].append(DROPOUT)
                others = {}
            rows.append(row(options, f"{'-'.join(map(str, sizes))} {kind}", sweep, others))
    heads = {} if options.thousand else {"": ("together", *WAYS)}
    heads |= {} if options.thousand or options.grid or options.dropout else BOUNDS
    rows = [f"{name:15}" + "".join(f"{cell:>9}" for cell in cells) for name, cells in heads.items()] + rows
    print("\n".join(["", *rows]))


if __name__ == "__main__":
    with kept:
        child(sys.argv[2], sys.argv[3:]) if sys.argv[1:2] == ["--child"] else main()
