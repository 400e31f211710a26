package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
)

const configurationFile = "/etc/cni/net.d/10-kindnet.conflist"

const configuration = `{
  "cniVersion": "0.4.0",
  "name": "kindnet",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "mtu": 1500,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": %q}]]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

// writeConfiguration replaces the file in one step: the container runtime watches the directory.
func writeConfiguration(podRange string) error {
	wanted := fmt.Sprintf(configuration, podRange)
	if present, err := os.ReadFile(configurationFile); err == nil && string(present) == wanted {
		return nil
	}
	unfinished := filepath.Join(filepath.Dir(configurationFile), ".kindnet.unfinished")
	if err := os.WriteFile(unfinished, []byte(wanted), 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, configurationFile)
}

func routeTo(podRange, gateway string) error {
	_, destination, err := net.ParseCIDR(podRange)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: net.ParseIP(gateway)})
}

func masquerade(podSubnets []string) error {
	for _, subnet := range podSubnets {
		if strings.Contains(subnet, ":") {
			continue // pods have IPv4 addresses only
		}
		rule := []string{
			"POSTROUTING", "-s", subnet, "!", "-d", subnet, "-m", "addrtype", "!", "--dst-type", "LOCAL",
			"-m", "comment", "--comment", "kindnet masquerade", "-j", "MASQUERADE",
		}
		if iptables("-C", rule) == nil {
			continue
		}
		if err := iptables("-A", rule); err != nil {
			return err
		}
	}
	return nil
}

func iptables(action string, rule []string) error {
	output, err := exec.Command("iptables", append([]string{"-w", "-t", "nat", action}, rule...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("iptables %s %s: %w: %s", action, strings.Join(rule, " "), err, output)
	}
	return nil
}
