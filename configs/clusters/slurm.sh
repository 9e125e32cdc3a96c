#!/usr/bin/env bash
# A search on Slurm: `sbatch configs/clusters/slurm.sh --config configs/multi30k.yaml --name first --data.path DIR`, from
# the checkout, on a file system that all nodes share. The same with `resume runs/first` goes on after a time limit.
#SBATCH --job-name=babeltune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?start me with sbatch}"
source .venv/bin/activate
ulimit -n "$(ulimit -Hn)"

export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))') # reaches the other nodes by srun's environment
export RAY_AUTH_TOKEN

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
address=$(srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname --ip-address | awk '{print $1}'):6379

# The head trains, too: its GPUs are paid for.
srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" --overlap \
  ray start --head --node-ip-address="${address%:*}" --port="${address#*:}" --num-gpus="$SLURM_GPUS_ON_NODE" \
  --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false --block &
until ray status --address="$address" > /dev/null 2>&1; do sleep 1; done
for node in "${nodes[@]:1}"; do
  srun --nodes=1 --ntasks=1 --nodelist="$node" --overlap \
    ray start --address="$address" --num-gpus="$SLURM_GPUS_ON_NODE" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
done
until (($(ray status --address="$address" | grep -c '^ 1 node_') == ${#nodes[@]})); do sleep 1; done

python search/run.py "$@" --cluster "$address"
