"""Sweeps: planning the jobs of a multirun, training them and ranking the results.

conf/_sweeps.yaml selects the sweeper and the launcher, which are in hydra_plugin.py. The sweeper lists the jobs;
launch.py has them composed and checked by plan.py, and run by sweep.py, which forms groups and starts processes. A
group trains in grouped/train.py, any other job in run_job.py. At the end leaderboard/callback.py ranks them.
"""
