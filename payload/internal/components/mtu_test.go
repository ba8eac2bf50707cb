package components

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestPodsGetTheLongestPacketOfTheNodesNetwork(t *testing.T) {
	for text, want := range map[string]int{"1400\n": 1400, "": 0, "\n": 0, "none\n": 0} {
		file := filepath.Join(t.TempDir(), "mtu")
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var config struct {
			Plugins []struct{ MTU int }
		}
		if err := json.Unmarshal([]byte(withMTU(networkConflist("10.42.0.0/16"), file)), &config); err != nil {
			t.Fatal(err)
		}
		if config.Plugins[0].MTU != want {
			t.Errorf("%q: %d", text, config.Plugins[0].MTU)
		}
	}
}
