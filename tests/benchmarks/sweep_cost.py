"""What a sweep costs against its number of jobs: seconds of `train.py -m` without imports, and per job, of jobs trained
together and one after the other. Writes the picture of docs/sweeps.md.

    python tests/benchmarks/sweep_cost.py                     # 10 to 10,000 jobs: about 6 minutes on two cores
    python tests/benchmarks/sweep_cost.py --jobs 10 100       # fewer, without the picture

One after the other is measured with 10 jobs and scaled up.
"""

import argparse
import tempfile

import overhead
import sweep
from matplotlib.figure import Figure

PICTURE = overhead.PROJECT / "docs" / "sweep_cost.png"
ALL = [10, 100, 1_000, 10_000]


def measured(jobs: int, launcher: str = "together") -> dict:
    """Seconds and MB of a sweep over seeds, of the net 8-6-4-1 with Adam, 100 epochs of 19 steps."""
    with tempfile.TemporaryDirectory() as folder:
        fixed = sweep.random_rows(sweep.NETS[0], "adam", folder)
        return sweep.command(launcher, fixed, ["lr=0.003"], jobs)


def draw(jobs: list[int], together: list[float], one: float) -> None:
    figure = Figure(figsize=(6, 3.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.loglog(jobs, [one * n for n in jobs], "o--", label="one after the other")
    axes.loglog(jobs, together, "o-", label="together")
    axes.set(xlabel="jobs", ylabel="seconds", title="100 epochs of 19 steps, network 8-6-4-1, two cores")
    axes.legend()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=ALL)
    jobs = parser.parse_args().jobs
    one = measured(10, "basic")["seconds"] / 10
    measured(2)  # a group of this kind has then been compared with a single run
    found = [measured(n) for n in jobs]
    print(f"| jobs | together, s | ms a job | one after the other, s | ratio |\n|{' ---: |' * 5}")
    for n, m in zip(jobs, found, strict=True):
        seconds = m["seconds"]
        print(f"| {n:,} | {seconds:.1f} | {1000 * seconds / n:.0f} | {one * n:,.0f} | {one * n / seconds:.1f} |")
    if jobs == ALL:
        draw(jobs, [m["seconds"] for m in found], one)


if __name__ == "__main__":
    with sweep.kept:
        main()
