// Crictl answers the few questions that kind and a person in a node ask of the container
// runtime. The real crictl's module is not to be had; this one has its command names.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	socket = "unix:///run/containerd/containerd.sock"
	usage  = "usage: crictl inspecti IMAGE | images | ps"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf(usage)
	}
	connection, err := grpc.NewClient(socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	switch arguments[0] {
	case "inspecti":
		return inspectImage(ctx, cri.NewImageServiceClient(connection), arguments[len(arguments)-1])
	case "images":
		return listImages(ctx, cri.NewImageServiceClient(connection))
	case "ps":
		return listContainers(ctx, cri.NewRuntimeServiceClient(connection))
	default:
		return fmt.Errorf("unknown command %q; %s", arguments[0], usage)
	}
}

// inspectImage prints what `kind load` reads: the image's ID and its names.
func inspectImage(ctx context.Context, images cri.ImageServiceClient, name string) error {
	answer, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: name}})
	if err != nil {
		return err
	}
	if answer.Image == nil {
		return fmt.Errorf("no such image %q present", name)
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"status": map[string]any{
		"id":          answer.Image.Id,
		"repoTags":    answer.Image.RepoTags,
		"repoDigests": answer.Image.RepoDigests,
		"size":        strconv.FormatUint(answer.Image.Size, 10),
	}})
}

func listImages(ctx context.Context, images cri.ImageServiceClient) error {
	answer, err := images.ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return err
	}
	for _, image := range answer.Images {
		fmt.Println(image.Id, image.RepoTags, image.Size)
	}
	return nil
}

func listContainers(ctx context.Context, runtime cri.RuntimeServiceClient) error {
	answer, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{})
	if err != nil {
		return err
	}
	for _, container := range answer.Containers {
		pod := container.Labels["io.kubernetes.pod.namespace"] + "/" + container.Labels["io.kubernetes.pod.name"]
		fmt.Println(container.Id[:13], container.State, container.Metadata.Name, pod)
	}
	return nil
}
