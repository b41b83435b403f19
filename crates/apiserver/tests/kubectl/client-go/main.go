// Client-go against a server: what failed on the first version of this API server. One story per argument; each prints what a
// client sees, without values that differ in each run.
//
//	client-go --namespace=NAME openapi | events | events-core
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record"
)

func main() {
	namespace := flag.String("namespace", "default", "the namespace of the story")
	flag.Parse()
	if err := run(flag.Arg(0), *namespace); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func run(story, namespace string) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch story {
	case "openapi":
		return openapi(client)
	case "events":
		return newEvents(ctx, client, namespace)
	case "events-core":
		return coreEvents(ctx, client, namespace)
	}
	return fmt.Errorf("unknown story %q", story)
}

// openapi reads OpenAPI 2 as kubectl does, in protobuf.
func openapi(client kubernetes.Interface) error {
	document, err := client.Discovery().OpenAPISchema()
	if err != nil {
		return err
	}
	fmt.Println("swagger", document.Swagger)
	wanted := map[string]bool{"io.k8s.api.core.v1.Pod": true, "io.k8s.api.apps.v1.Deployment": true, "io.k8s.api.core.v1.Service": true}
	for _, definition := range document.Definitions.AdditionalProperties {
		if wanted[definition.Name] {
			delete(wanted, definition.Name)
		}
	}
	fmt.Println("missing", len(wanted))
	return nil
}

// newEvents records an event in events.k8s.io, as controllers do today.
func newEvents(ctx context.Context, client kubernetes.Interface, namespace string) error {
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return err
	}
	recorder := broadcaster.NewRecorder(scheme.Scheme, "story")
	recorder.Eventf(about(namespace), nil, corev1.EventTypeNormal, "Tested", "Testing", "a note of %s", "client-go")
	return wait(ctx, func() (string, error) {
		list, err := client.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=Tested"})
		if err != nil || len(list.Items) == 0 {
			return "", err
		}
		event := list.Items[0]
		return fmt.Sprintln(event.Type, event.Reason, event.Action, event.Note, event.ReportingController, event.Regarding.Name), nil
	})
}

// coreEvents records an event in the core group.
func coreEvents(ctx context.Context, client kubernetes.Interface, namespace string) error {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events(namespace)})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "story"})
	recorder.Event(about(namespace), corev1.EventTypeWarning, "Recorded", "a message")
	return wait(ctx, func() (string, error) {
		list, err := client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=Recorded"})
		if err != nil || len(list.Items) == 0 {
			return "", err
		}
		event := list.Items[0]
		return fmt.Sprintln(event.Type, event.Reason, event.Message, event.Source.Component, event.InvolvedObject.Name, event.Count), nil
	})
}

func about(namespace string) runtime.Object {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "story", Namespace: namespace, UID: "00000000-0000-0000-0000-000000000000"},
	}
}

// wait prints what was found, or fails after the time of the context.
func wait(ctx context.Context, found func() (string, error)) error {
	for {
		text, err := found()
		if err != nil {
			return err
		}
		if text != "" {
			fmt.Print(text)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
