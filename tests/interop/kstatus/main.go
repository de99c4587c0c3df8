// Command kstatus reads objects, one JSON document a line, and writes for each what kstatus makes of it: the library
// by which Flux, Config Sync and `kpt live` decide whether an object has arrived. A line has the status, a tab, and
// the message.
package main

import (
	"bufio"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16*1024*1024)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return fmt.Errorf("failed to read an object: %w", err)
		}
		result, err := status.Compute(object)
		if err != nil {
			return fmt.Errorf("failed to compute the status of %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		fmt.Printf("%s\t%q\n", result.Status, result.Message)
	}
	return lines.Err()
}
