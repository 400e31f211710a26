// Pin is an NRI plugin: it runs each container of an annotated pod on the CPUs that the annotation lists.
// The tests use it in place of the resource policies that clusters run. It knows no other pods, so it
// pins two of them to the same CPU if it is asked to.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

const annotation = "test.modelserver.dev/cpus"

type plugin struct{}

// Synchronize is called once the runtime has registered the plugin.
func (plugin) Synchronize(
	_ context.Context, _ []*api.PodSandbox, _ []*api.Container,
) ([]*api.ContainerUpdate, error) {
	fmt.Println("ready")
	return nil, nil
}

// CreateContainer sets the cpuset of a container before it exists, so no thread ever runs elsewhere.
func (plugin) CreateContainer(
	_ context.Context, pod *api.PodSandbox, container *api.Container,
) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	cpus, found := pod.GetAnnotations()[annotation]
	if !found {
		return nil, nil, nil
	}
	adjustment := &api.ContainerAdjustment{}
	adjustment.SetLinuxCPUSetCPUs(cpus)
	fmt.Printf("pinned %s/%s to %s\n", pod.GetName(), container.GetName(), cpus)
	return adjustment, nil, nil
}

// UpdateContainer keeps the cpuset: a kubelet with the static policy writes its own one every few seconds.
func (plugin) UpdateContainer(
	_ context.Context, pod *api.PodSandbox, container *api.Container, _ *api.LinuxResources,
) ([]*api.ContainerUpdate, error) {
	cpus, found := pod.GetAnnotations()[annotation]
	if !found {
		return nil, nil
	}
	update := &api.ContainerUpdate{}
	update.SetContainerId(container.GetId())
	update.SetLinuxCPUSetCPUs(cpus)
	return []*api.ContainerUpdate{update}, nil
}

func main() {
	// A signal ends it as it ends any program: the runtime forgets a plugin whose connection ends.
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pin:", err)
		os.Exit(1)
	}
}

func run() error {
	connection, err := stub.New(plugin{}, stub.WithPluginName("pin"), stub.WithPluginIdx("50"))
	if err != nil {
		return err
	}
	return connection.Run(context.Background())
}
