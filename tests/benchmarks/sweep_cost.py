"""Measure the time of a sweep as a function of its number of jobs, and draw the figure of docs/sweeps.md.

    python tests/benchmarks/sweep_cost.py                     # 10 to 10,000 jobs: about 6 minutes on two cores
    python tests/benchmarks/sweep_cost.py --jobs 10 100       # fewer jobs, without the figure

It prints the seconds of `train.py -m` without imports, in total and per job, for jobs trained together and one after
the other, which is measured with 10 jobs and scaled up.
"""

import argparse
import tempfile

import overhead
import sweep
from matplotlib.figure import Figure

PICTURE = overhead.PROJECT / "docs" / "sweep_cost.png"
ALL = [10, 100, 1_000, 10_000]


def measured(jobs: int, launcher: str = "together") -> dict:
    """Measure seconds and MB of a sweep over seeds, of the network 8-6-4-1 with Adam, 100 epochs of 19 steps."""
    with tempfile.TemporaryDirectory() as folder:
        fixed = sweep.random_table(sweep.NETS[0], "adam", folder)
        return sweep.command(launcher, fixed, ["lr=0.003"], jobs)


def draw(jobs: list[int], together: list[float], one: float) -> None:
    figure = Figure(figsize=(6, 3.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.loglog(jobs, [one * n for n in jobs], "o--", label="one after the other")
    axes.loglog(jobs, together, "o-", label="trained together")
    title = "Time of a sweep (network 8-6-4-1, 100 epochs of 19 steps, two cores)"
    axes.set(xlabel="number of jobs", ylabel="time in seconds")
    axes.set_title(title, fontsize="medium")
    axes.legend()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=ALL)
    jobs = parser.parse_args().jobs
    one = measured(10, "basic")["seconds"] / 10
    measured(2)  # compares a group of this kind with a single run
    found = [measured(n) for n in jobs]
    print(f"| jobs | together, s | ms per job | one after the other, s | ratio |\n|{' ---: |' * 5}")
    for n, m in zip(jobs, found, strict=True):
        seconds = m["seconds"]
        print(f"| {n:,} | {seconds:.1f} | {1000 * seconds / n:.0f} | {one * n:,.0f} | {one * n / seconds:.1f} |")
    if jobs == ALL:
        draw(jobs, [m["seconds"] for m in found], one)


if __name__ == "__main__":
    with sweep.kept:
        main()
