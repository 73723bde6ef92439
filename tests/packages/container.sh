#!/usr/bin/env bash
# Builds the image of the Dockerfile around a program that is built already, and runs the sample in it as a cluster would: as nobody, with a
# root file system that cannot be written to, without a network. Needs root, and Debian's buildah, podman, runc and debootstrap, which it
# installs. The base image is made from Debian's packages, since images of a registry need not be reachable.
#
# usage: tests/packages/container.sh FOLDER PROGRAM
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:?name a folder}")
program=$(realpath "${2:?name the program}")
mkdir -p "$folder/storage" "$folder/run" "$folder/built/etc/ssl/certs"

step() { printf -- '-- %s (%ss)\n' "$1" "$SECONDS"; }

step 'tools'
for tool in buildah podman runc debootstrap; do command -v "$tool" > /dev/null || missing=1; done
test -z "${missing:-}" || apt-get install -y -qq --no-install-recommends buildah podman runc debootstrap > /dev/null
export CONTAINERS_STORAGE_CONF="$folder/storage.conf"
printf '[storage]\ndriver = "vfs"\nrunroot = "%s/run"\ngraphroot = "%s/storage"\n' "$folder" "$folder" > "$CONTAINERS_STORAGE_CONF"
base=docker.io/library/debian:bookworm-slim

step 'base image'
if ! buildah inspect --type image "$base" > /dev/null 2>&1; then
    test -x "$folder/base/bin/sh" || debootstrap --variant=minbase bookworm "$folder/base" > "$folder/debootstrap.log"
    from=$(buildah from scratch)
    buildah add --quiet "$from" "$folder/base" / > /dev/null
    buildah commit --quiet "$from" "$base" > /dev/null
    buildah rm "$from" > /dev/null
fi

step 'image'
# The stage that builds is replaced by a folder with what it would have built.
cp "$program" "$folder/built/segmill"
strip "$folder/built/segmill"
cp /etc/ssl/certs/ca-certificates.crt "$folder/built/etc/ssl/certs/"
buildah bud --quiet --isolation chroot --pull-never --build-context "build=$folder/built" -t localhost/segmill . > /dev/null

step 'the sample'
project="$folder/project"
rm -rf "$project"
"$folder/built/segmill" init "$project" > /dev/null 2>&1
mkdir "$project/out"
chmod 777 "$project/out"
run() {
    podman --cgroup-manager cgroupfs --runtime runc run --rm --network none --read-only --cap-drop all \
        --security-opt no-new-privileges --ulimit nofile=1024:20000 --ulimit nproc=1024:1024 "$@"
}
run --volume "$project:/project:ro" --volume "$project/out:/project/out:rw" --tmpfs /tmp localhost/segmill run --as-of 2011-12-10
test -f "$project/out/commits/00000001.json"
# The files belong to the number that the image names, so nothing ran as root.
test "$(stat -c %u "$project/out/commits/00000001.json")" = 65532
test "$(run localhost/segmill version --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["name"])')" = segmill
size=$(podman image inspect localhost/segmill --format '{{.Size}}')
step "the image holds: $((size / 1000000)) MB with its base"
