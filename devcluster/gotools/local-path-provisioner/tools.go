//go:build tools

// Package tools pins the storage provisioner that kind's node image carries. It has a
// module of its own because it imports logrus under an old spelling of its path, which
// cannot stand beside the present one in a single program.
package tools

import (
	_ "github.com/rancher/local-path-provisioner"
)
