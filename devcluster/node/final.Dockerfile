# kind's network daemon requests 100m of a CPU, which a node with two CPUs cannot spare.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN sed -i 's/cpu: "\?100m"\?/cpu: 10m/' /kind/manifests/default-cni.yaml
