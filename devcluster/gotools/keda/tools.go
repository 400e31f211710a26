//go:build tools

// Package tools pins KEDA. It has a module of its own because KEDA brings the clients
// of everything it can scale by, in versions that the other programs do not share.
package tools

import (
	_ "github.com/kedacore/keda/v2/cmd/adapter"
	_ "github.com/kedacore/keda/v2/cmd/operator"
)
