package usage

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

// serve is kubelet as far as it is asked here.
func serve(t *testing.T, answer http.HandlerFunc) *summaries {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	asked, err := newSummaries(net.IPv4(127, 0, 0, 1), port, rest.TLSClientConfig{CAData: ca})
	if err != nil {
		t.Fatal(err)
	}
	return asked
}

func TestWhoeverAsksAtTheSameTimeGetsTheSameAnswer(t *testing.T) {
	var questions atomic.Int32
	asked := serve(t, func(w http.ResponseWriter, r *http.Request) {
		questions.Add(1)
		if r.URL.String() != "/stats/summary?only_cpu_and_memory=true" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = w.Write([]byte(summary))
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if found, err := asked.get(); err != nil || len(found.Pods) != 3 {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
	all.Wait()
	if n := questions.Load(); n != 1 {
		t.Errorf("kubelet was asked %d times", n)
	}
}

func TestAnErrorIsSaidAndNotKept(t *testing.T) {
	var questions atomic.Int32
	asked := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if questions.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(summary))
	})
	if _, err := asked.get(); err == nil {
		t.Error("no error")
	}
	if _, err := asked.get(); err != nil {
		t.Error(err)
	}
}
