#!/bin/sh
# Writes the descriptor that proto/__init__.py reads; run it after a change of the .proto.
set -eu
cd "$(dirname "$0")"
exec "${PYTHON:-python3}" -m grpc_tools.protoc -I. --descriptor_set_out="${1:-grpc_predict_v2.binpb}" grpc_predict_v2.proto
