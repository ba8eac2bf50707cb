package components

import (
	"strings"
	"testing"

	"kubesolo.io/os/payload/internal/networks"
)

func TestEveryComponentUsesTheClustersNetworks(t *testing.T) {
	c := testConfig(t)
	var err error
	if c.Networks, err = networks.Parse("172.20.0.0/16", "172.21.0.0/20"); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(append(append(apiServerArguments(c), controllerArguments(c)...), proxyArguments(c)...), " ")
	all += networkConflist(c.Networks.Pods.String())
	for text, times := range map[string]int{
		"172.20.0.0/16": 3, "--service-cluster-ip-range=172.21.0.0/20": 2, "10.42.": 0, "10.43.": 0,
	} {
		if found := strings.Count(all, text); found != times {
			t.Errorf("%s: %d times instead of %d in %s", text, found, times, all)
		}
	}
}

func TestKubeletTellsPodsOfClusterDNSAndConfinesThem(t *testing.T) {
	c := testConfig(t)
	c.Networks, _ = networks.Parse("", "172.21.0.0/20")
	config, err := kubeletConfiguration(c)
	if err != nil {
		t.Fatal(err)
	}
	if len(config.ClusterDNS) != 1 || config.ClusterDNS[0] != "172.21.0.10" || !config.SeccompDefault {
		t.Errorf("cluster DNS at %v, seccomp by default: %v", config.ClusterDNS, config.SeccompDefault)
	}
}
