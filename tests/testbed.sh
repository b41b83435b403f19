#!/usr/bin/env bash
# Runs the suites against real programs: tests/testbed.sh FOLDER. The folder holds `unpack` and `engine`, which print where
# kind, kustomize, kubectl, kube-apiserver and etcd are, and bring a Docker engine with a node and a registry image. What is
# absent is printed as skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(cd "${1:?a folder with the testbed}" && pwd)
export MESHY_TESTBED=$folder

bin=$("$folder/unpack")
export PATH=$PATH:$bin
if [ -x "$folder/engine" ] && "$folder/engine" && "$folder/unpack" --images >/dev/null; then
  # The testbed's own node image; nothing can be pulled there.
  MESHY_NODE_IMAGE=${MESHY_NODE_IMAGE:-$(docker images --format '{{.Repository}}:{{.Tag}}' kindest/node | head -n 1)}
  export MESHY_NODE_IMAGE
else
  printf 'skipped: no Docker engine, so no KinD\n' >&2
fi

# With the test service in it, as a release has it.
export MESHY_EMBED_SERVICE=1
printf '\n-- kustomize\n'
cargo test --locked -p meshy-kustomize -- --include-ignored
printf '\n-- kube-apiserver\n'
cargo test --locked -p meshy-apiserver -- --include-ignored
cargo test --locked -p meshy --test registry --test addons -- --include-ignored
if [ -n "${MESHY_NODE_IMAGE:-}" ]; then
  printf '\n-- KinD\n'
  cargo test --locked -p meshy --test kind -- --include-ignored --test-threads 1 --nocapture
fi
