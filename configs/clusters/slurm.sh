#!/usr/bin/env bash
# A search on Slurm: `sbatch configs/clusters/slurm.sh --config configs/multi30k.yaml --name first --data.path DIR`, from
# the checkout, on a file system that all nodes share. The same with `resume runs/first` goes on after a time limit.
#SBATCH --job-name=babeltune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?start me with sbatch}"
source .venv/bin/activate
ulimit -n "$(ulimit -Hn)"

export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))') # reaches the other nodes by srun's environment
export RAY_AUTH_TOKEN
START_SECONDS=${START_SECONDS:-60} # that Ray may take to start on a node

logs=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT

fail() { # why, and the log of what should have started
  echo "slurm.sh: $1" >&2
  tail -n 20 "$2" >&2
  exit 1
}

on_node() { # node command...
  srun --nodes=1 --ntasks=1 --nodelist="$1" --overlap "${@:2}"
}

start_ray() { # node options...: sets `started` to the process that lasts as long as Ray on the node
  on_node "$1" bash -c 'private=$(mktemp -d) && trap "rm -rf $private" EXIT && ray start "$@" --temp-dir="$private/ray"' \
    ray "${@:2}" --num-gpus="$SLURM_GPUS_ON_NODE" --num-cpus="$SLURM_CPUS_PER_TASK" --block \
    > "$logs/$1" 2>&1 &
  started=$!
}

wait_for() { # node process command...: until the command succeeds; the process must live
  local deadline=$((SECONDS + START_SECONDS))
  until "${@:3}" > /dev/null 2>&1; do
    kill -0 "$2" 2> /dev/null || fail "Ray ended on $1 as it started:" "$logs/$1"
    ((SECONDS < deadline)) || fail "Ray has not started on $1 in $START_SECONDS s:" "$logs/$1"
    sleep 1
  done
}

has_nodes() { (($(ray status --address="$address" | grep -c '^ 1 node_') == $1)); }

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
# A free port, as other jobs may have a Ray of theirs on the node, and an address that the other nodes reach.
address=$(on_node "$head" python -m search.cluster.own_address "${nodes[@]:1}") || exit 1

# The head trains, too: its GPUs are paid for.
start_ray "$head" --head --node-ip-address="${address%:*}" --port="${address##*:}" --include-dashboard=false
wait_for "$head" "$started" ray status --address="$address"
count=1
for node in "${nodes[@]:1}"; do
  start_ray "$node" --address="$address"
  count=$((count + 1))
  wait_for "$node" "$started" has_nodes "$count"
done

python search/run.py "$@" --cluster "$address" &
search=$!
trap 'kill -TERM $search' TERM # before the time limit Slurm tells this script alone
status=0
while kill -0 "$search" 2> /dev/null; do # a signal ends the waiting, not the search
  status=0
  wait "$search" || status=$?
done
exit "$status"
