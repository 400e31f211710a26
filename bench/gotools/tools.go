//go:build tools

// Package tools pins ghz, the gRPC load generator of the benchmarks.
package tools

import _ "github.com/bojand/ghz/cmd/ghz"
