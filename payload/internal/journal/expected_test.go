package journal

import (
	"bytes"
	"testing"
)

func TestExpectedComplaintsAreNotHeard(t *testing.T) {
	const missing = `E1 kubelet.go:1] "Unable to register mirror pod" err="node \"n\" not found" node="n"`
	const nft = "E1 proxier.go:1] \"Failed to list existing nftables objects\" err=<\n\tfailed to run nft: Error: "
	for message, heard := range map[string][2]bool{
		// while starting, later
		missing: {false, true},
		`E1 nodelease.go:50] "Failed" err="nodes \"n\" not found"`:                         {false, true},
		`E1 kubelet.go:1] err="container runtime status check may not have completed yet"`: {false, true},
		`W1 x.go:1] Skipping API policy/v1beta1 because it has no resources.`:              {false, false},
		nft + "No such file or directory\n":                                                {false, false},
		nft + "Operation not permitted\n":                                                  {true, true},
		`E1 kubelet.go:1] "Failed to pull image" err="no such host"`:                       {true, true},
		`E1 pod.go:1] err="pod \"p\" not found"`:                                           {true, true},
	} {
		for at, want := range heard {
			started.Store(at == 1)
			out := &bytes.Buffer{}
			if n, err := (filter{out}).Write([]byte(message)); n != len(message) || err != nil {
				t.Errorf("%s: wrote %d, %v", message, n, err)
			}
			if got := out.String() == message; got != want || !want && out.Len() > 0 {
				t.Errorf("started %v: heard %v: %s", at == 1, got, message)
			}
		}
	}
	started.Store(false)
}
