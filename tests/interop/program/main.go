// Command requests is a second program that moves RequestStates along, written against client-go: the kind of program
// that the operator's own director and worker must get on with. It reads from an informer's cache, takes its time, and
// then puts the whole object back with the resource version that it once read. A conflict, or an object that has gone
// meanwhile, ends it.
package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	firstJob = "JOB1"
	lastJob  = "JOB2"

	requested = "REQUESTED"
	started   = "STARTED"
	completed = "COMPLETED"
)

var requestStates = schema.GroupVersionResource{
	Group: "com.redhat.ecosystem.sample", Version: "v1", Resource: "requeststates",
}

// The object as this program knows it. A field that is not here does not survive a write.
type requestState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec struct {
		RequestUID string `json:"request-uid"`
		Job        string `json:"job"`
		State      string `json:"state"`
	} `json:"spec"`
	Status struct {
		History []entry `json:"history,omitempty"`
	} `json:"status,omitempty"`
}

type entry struct {
	Job       string `json:"job"`
	State     string `json:"state"`
	Timestamp string `json:"timestamp"`
}

type program struct {
	client dynamic.Interface
	sleep  time.Duration
	done   chan struct{}
}

func main() {
	klog.InitFlags(nil)
	mode := flag.String("mode", "", "director or worker")
	namespace := flag.String("namespace", "default", "where the director creates its request")
	kubeconfig := flag.String("kubeconfig", "", "path of a kubeconfig file")
	sleep := flag.Duration("sleep", 2*time.Second, "how long a step takes")
	resync := flag.Duration("resync", 30*time.Second, "how often every object is looked at again")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatalf("no API server: %v", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		klog.Fatalf("no client: %v", err)
	}
	p := &program{client: client, sleep: *sleep, done: make(chan struct{}, 1)}
	var react func(*requestState)
	switch *mode {
	case "director":
		react = p.direct
	case "worker":
		react = p.work
	default:
		klog.Fatalf("mode %q is neither director nor worker", *mode)
	}

	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, *resync)
	informer := factory.ForResource(requestStates).Informer()
	handle := func(object any) {
		known := &requestState{}
		content := object.(*unstructured.Unstructured).UnstructuredContent()
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, known); err != nil {
			klog.Fatalf("not readable: %v", err)
		}
		react(known)
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    handle,
		UpdateFunc: func(_, object any) { handle(object) },
	})
	if err != nil {
		klog.Fatalf("no informer: %v", err)
	}
	stop := make(chan struct{})
	factory.Start(stop)
	factory.WaitForCacheSync(stop)
	fmt.Println("watching")

	if *mode == "director" {
		p.create(*namespace)
	}
	<-p.done
	fmt.Println("done")
}

// create makes the request that this director is for.
func (p *program) create(namespace string) {
	request := &requestState{}
	request.APIVersion = requestStates.GroupVersion().String()
	request.Kind = "RequestState"
	request.GenerateName = "go-request-"
	request.Spec.RequestUID = string(uuid.NewUUID())
	request.Spec.Job = firstJob
	request.Spec.State = requested
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(request)
	if err != nil {
		klog.Fatalf("not writable: %v", err)
	}
	made, err := p.client.Resource(requestStates).Namespace(namespace).
		Create(context.Background(), &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
	if err != nil {
		klog.Fatalf("not created: %v", err)
	}
	fmt.Printf("created %s/%s\n", made.GetNamespace(), made.GetName())
}

// direct requests the job that follows a completed one; any request whose last job is completed is its end.
func (p *program) direct(request *requestState) {
	if request.Spec.State != completed {
		return
	}
	if request.Spec.Job == firstJob {
		p.move(request, lastJob, requested)
		return
	}
	fmt.Printf("%s/%s is completed\n", request.Namespace, request.Name)
	select {
	case p.done <- struct{}{}:
	default:
	}
}

// work starts what is requested and completes what is started, whoever started it.
func (p *program) work(request *requestState) {
	switch request.Spec.State {
	case requested:
		p.move(request, request.Spec.Job, started)
	case started:
		p.move(request, request.Spec.Job, completed)
	}
}

// move takes a step: after a while, the state that is left is recorded and the whole object is put back.
func (p *program) move(request *requestState, job, state string) {
	time.Sleep(p.sleep)
	request.Status.History = append(request.Status.History,
		entry{Job: request.Spec.Job, State: request.Spec.State, Timestamp: time.Now().String()})
	request.Spec.Job, request.Spec.State = job, state
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(request)
	if err != nil {
		klog.Fatalf("not writable: %v", err)
	}
	_, err = p.client.Resource(requestStates).Namespace(request.Namespace).
		Update(context.Background(), &unstructured.Unstructured{Object: content}, metav1.UpdateOptions{})
	if err != nil {
		klog.Fatalf("%s/%s not written: %v", request.Namespace, request.Name, err)
	}
	fmt.Printf("%s/%s is %s %s\n", request.Namespace, request.Name, job, state)
}
