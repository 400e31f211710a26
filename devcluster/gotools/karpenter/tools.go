//go:build tools

// Package tools pins Karpenter with its provider of simulated nodes. It has a module of its
// own because only a few long tests need it, and a new version of it shall cause no other build.
package tools

import (
	_ "sigs.k8s.io/karpenter/kwok"
)
