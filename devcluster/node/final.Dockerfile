# kind's network daemon asks for 100m of a CPU; a node with two CPUs has none to spare.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN sed -i 's/cpu: "\?100m"\?/cpu: 10m/' /kind/manifests/default-cni.yaml
