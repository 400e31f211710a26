//go:build tools

// Package tools pins containerd. It has a module of its own because its release is
// written against an older cri-api than the one Kubernetes brings.
package tools

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
)
