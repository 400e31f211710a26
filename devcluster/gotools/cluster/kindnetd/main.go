// Kindnetd gives the pods of a kind node their network: a CNI configuration for this node's
// range of addresses, a route to each other node's range, and one rule that masquerades what
// leaves the pods' network. It is started by kind's own manifest and obeys its environment;
// the original's module is not to be had.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const retryAfter = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	configuration, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	// The Service's address needs kube-proxy, which may start after us.
	if endpoint := os.Getenv("CONTROL_PLANE_ENDPOINT"); endpoint != "" {
		configuration.Host = "https://" + endpoint
	}
	client, err := kubernetes.NewForConfig(configuration)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 5*time.Minute)
	nodes := factory.Core().V1().Nodes()
	changed := make(chan struct{}, 1)
	if _, err := nodes.Informer().AddEventHandler(notify(changed)); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	keepInStep(ctx, nodes.Lister(), changed)
	return nil
}

// notify signals a change of any node; several changes in a row are one signal.
func notify(changed chan<- struct{}) cache.ResourceEventHandlerFuncs {
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { poke() },
		UpdateFunc: func(_, _ any) { poke() },
		DeleteFunc: func(any) { poke() },
	}
}

func keepInStep(ctx context.Context, nodes listers.NodeLister, changed <-chan struct{}) {
	self, podSubnets := os.Getenv("HOST_IP"), strings.Split(os.Getenv("POD_SUBNET"), ",")
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-retry:
		}
		retry = nil
		if err := synchronise(nodes, self, podSubnets); err != nil {
			log.Print(err)
			retry = time.After(retryAfter)
		}
	}
}

func synchronise(lister listers.NodeLister, self string, podSubnets []string) error {
	nodes, err := lister.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, node := range nodes {
		address, podRange := internalAddress(node), node.Spec.PodCIDR
		switch {
		case address == "" || podRange == "":
			continue
		case address == self:
			err = writeConfiguration(podRange)
		default:
			err = routeTo(podRange, address)
		}
		if err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
	}
	return masquerade(podSubnets)
}

func internalAddress(node *corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}
