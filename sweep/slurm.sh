#!/bin/bash
#SBATCH --job-name=digit-gan
#SBATCH --array=0-8
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --open-mode=append
#SBATCH --output=slurm-%A_%a.out

# A run for each recipe and seed, as an array of tasks:
#
#   cargo install --path crate --features cli
#   sbatch sweep/slurm.sh                                        # 3 recipes x 3 seeds: --array=0-8
#   RECIPES="lean" SEEDS="1 2 3 4 5" sbatch --array=0-4 sweep/slurm.sh --images 600000 --set loss=hinge
#
# Further arguments go to every run. A task that is preempted or out of time writes a checkpoint and exits with 75; queued
# again, it resumes there (`RequeueExit=75` in slurm.conf has Slurm do that; without, submit the same array again). Its exit
# status is 0 only once the run is finished; `digit-gan runs` lists all. A partition whose GraceTime is not 0 sends its first
# SIGTERM to this script only with `SlurmctldParameters=preempt_send_user_signal`. Without Slurm:
#
#   for task in {0..8}; do SLURM_ARRAY_TASK_ID=$task sweep/slurm.sh; done

set -eu

read -ra recipes <<< "${RECIPES:-dense dcgan lean}"
read -ra seeds <<< "${SEEDS:-1 2 3}"
tasks=$((${#recipes[@]} * ${#seeds[@]}))
task=${SLURM_ARRAY_TASK_ID:?"is not set: submit this with sbatch, or set it to 0 up to $((tasks - 1))"}
if ((task >= tasks)); then
  echo "task $task: ${#recipes[@]} recipes x ${#seeds[@]} seeds are $tasks tasks; submit with --array=0-$((tasks - 1))" >&2
  exit 2
fi
recipe=${recipes[task / ${#seeds[@]}]}
seed=${seeds[task % ${#seeds[@]}]}
export RAYON_NUM_THREADS=${SLURM_CPUS_PER_TASK:-${RAYON_NUM_THREADS:-$(nproc)}}

exec "${DIGIT_GAN:-digit-gan}" train \
  --recipe "$recipe" --seed "$seed" --out "${RUNS:-runs}/$recipe-$seed" "$@"
