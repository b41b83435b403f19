#!/usr/bin/env bash
# Runs the suites against real programs: tests/testbed.sh FOLDER. The folder has three scripts: `unpack` prints the
# folder with kind, kustomize and kubectl (`unpack --images` loads a node and a registry image into the engine), `engine` starts a Docker
# engine, and `apiserver DIR PORT` runs kube-apiserver with etcd, prints "ready" and writes DIR/kubeconfig. What is absent is printed as
# skipped. A suite with fewer tests than the number at its call fails, so that a filter or a test moved by mistake is noticed.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(cd "${1:?a folder with the testbed}" && pwd)
export MESHY_TESTBED=$folder

skipped() { printf 'skipped: %s\n' "$1" >&2; }
suite() { # LEAST NAME ARGUMENTS…: runs `cargo test ARGUMENTS`, which must be at least LEAST tests
  local least=$1 name=$2 count
  shift 2
  printf '\n-- %s\n' "$name"
  count=$(cargo test --locked "$@" --list | grep -c ': test$' || true)
  if [ "$count" -lt "$least" ]; then
    printf '%s: only %d tests, at least %d are expected\n' "$name" "$count" "$least" >&2
    exit 1
  fi
  cargo test --locked "$@"
}

bin=$("$folder/unpack")
export PATH=$PATH:$bin
if [ -x "$folder/engine" ] && "$folder/engine" && "$folder/unpack" --images >/dev/null; then
  # The testbed's own node image; nothing can be pulled there.
  MESHY_NODE_IMAGE=${MESHY_NODE_IMAGE:-$(docker images --format '{{.Repository}}:{{.Tag}}' kindest/node | head -n 1)}
  export MESHY_NODE_IMAGE
else
  skipped "no Docker engine, so no KinD"
fi

# With the test service in it, as a release has it.
export MESHY_EMBED_SERVICE=1
suite 21 kustomize -p meshy-kustomize -- --include-ignored
real=$(mktemp -d)
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
  # helm and Go are not part of the testbed.
  without=()
  if ! command -v helm >/dev/null; then
    skipped "no helm, so only kubectl and client-go are compared"
    without+=(--skip helm_behaves_as_with_kube_apiserver)
  fi
  if ! command -v go >/dev/null || ! (cd crates/apiserver/tests/kubectl/client-go && go mod download); then
    skipped "no Go, or its modules cannot be fetched, so client-go is not compared"
    without+=(--skip client_go_behaves_as_with_kube_apiserver --skip client_go_succeeds)
  fi
  suite 90 kube-apiserver -p meshy-apiserver -- --include-ignored "${without[@]}"
else
  skipped "no kube-apiserver, so only its recorded responses are compared"
  suite 1 "recorded responses of kube-apiserver" -p meshy-apiserver --
fi
suite 6 "kubectl on the embedded cluster" -p meshy --test kubectl -- --include-ignored
suite 8 "registry and add-ons" -p meshy --test registry --test addons -- --include-ignored
if [ -n "${MESHY_NODE_IMAGE:-}" ]; then
  suite 12 KinD -p meshy --test kind -- --include-ignored --test-threads 1 --nocapture
  suite 1 "walkthrough on KinD" -p meshy --test docs -- --ignored --nocapture --exact \
    walkthrough::the_lines_of_the_walkthrough_that_need_no_mesh_run_on_kind
  if [ -n "${MESHY_WALKTHROUGH:-}" ]; then
    suite 1 "walkthrough on the cluster of the caller" -p meshy --test docs -- --ignored --nocapture --exact \
      walkthrough::the_walkthrough_prints_its_numbers_on_the_cluster_of_the_caller
  else
    skipped "MESHY_WALKTHROUGH names no lab with images of Linkerd, so no walkthrough with a mesh"
  fi
fi
