#!/bin/sh
# Writes the descriptors that the package reads; run it after a change of a .proto.
set -eu
cd "$(dirname "$0")"
for name in grpc_predict_v2 tensorflow_serving; do
  "${PYTHON:-python3}" -m grpc_tools.protoc -I. --include_imports --descriptor_set_out="${1:-.}/$name.binpb" "$name.proto"
done
