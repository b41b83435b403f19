#!/usr/bin/env bash
# Runs the suites against real programs: tests/testbed.sh FOLDER. The folder has three scripts: `unpack` prints the
# folder with kind, kustomize and kubectl (`unpack --images` loads a node and a registry image into the engine), `engine` starts a Docker
# engine, and `apiserver DIR PORT` runs kube-apiserver with etcd, prints "ready" and writes DIR/kubeconfig. What is absent is printed as
# skipped.
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
real=$(mktemp -d)
differential=()
if [ -x "$folder/apiserver" ]; then
  # A process group, killed as one: after SIGTERM kube-apiserver may take a minute to end.
  setsid "$folder/apiserver" "$real" $((RANDOM % 10000 + 20000)) >"$real/said" 2>&1 &
  server=$!
  trap 'kill -KILL -- "-$server" 2>/dev/null || true; rm -rf "$real"' EXIT
  until grep -q ready "$real/said"; do
    kill -0 "$server" || { cat "$real/said" >&2; exit 1; }
    sleep 0.2
  done
  export MESHY_TESTBED_KUBECONFIG=$real/kubeconfig
  differential=(--include-ignored)
else
  printf 'skipped: no kube-apiserver, so only its recorded responses are compared\n' >&2
fi
cargo test --locked -p meshy-apiserver -- "${differential[@]}"
printf '\n-- kubectl on the embedded cluster\n'
cargo test --locked -p meshy --test kubectl -- --include-ignored
cargo test --locked -p meshy --test registry --test addons -- --include-ignored
if [ -n "${MESHY_NODE_IMAGE:-}" ]; then
  printf '\n-- KinD\n'
  cargo test --locked -p meshy --test kind -- --include-ignored --test-threads 1 --nocapture
  cargo test --locked -p meshy --test docs -- --ignored --nocapture --exact \
    walkthrough::the_lines_of_the_walkthrough_that_need_no_mesh_run_on_kind
  if [ -n "${MESHY_WALKTHROUGH:-}" ]; then
    cargo test --locked -p meshy --test docs -- --ignored --nocapture --exact \
      walkthrough::the_walkthrough_prints_its_numbers_on_the_cluster_of_the_caller
  else
    printf 'skipped: MESHY_WALKTHROUGH names no lab with images of Linkerd, so no walkthrough with a mesh\n' >&2
  fi
fi
