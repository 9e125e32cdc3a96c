#!/usr/bin/env bash
# A search on Slurm by machines that come one by one: `sbatch configs/clusters/slurm-array.sh --config
# configs/multi30k.yaml --name first --data.path DIR --search.concurrency 4 --search.gpus_per_trial 1`, from the checkout,
# on a file system that all nodes share. Each task of the array starts when Slurm has room for it, leads the search or
# trains for it, and leaves before its time ends; then it is queued again.
#SBATCH --job-name=babeltune
#SBATCH --array=1-4
#SBATCH --gpus-per-task=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@300
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?start me with sbatch}"
source .venv/bin/activate
ulimit -n "$(ulimit -Hn)"

LEFT=75 # the exit status of a machine that left before the end of the search

python search/run.py join "$@" --cpus "${SLURM_CPUS_PER_TASK:-1}" --leave_seconds 240 &
member=$!
trap 'kill -TERM $member' TERM # Slurm sends it to this script alone, 300 s before the time limit or before a preemption
status=0
while kill -0 "$member" 2> /dev/null; do # a signal ends the waiting, not the member
  status=0
  wait "$member" || status=$?
done
((status != LEFT)) || scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
exit "$status"
