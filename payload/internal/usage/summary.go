// Package usage serves the API metrics.k8s.io, which kubectl top and HorizontalPodAutoscalers ask: what the node and its
// pods use now. kubelet knows it and is asked when somebody asks, so nothing is spent while nobody does.
package usage

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

const (
	// fresh is for how long an answer counts: kubelet itself looks every ten seconds or so.
	fresh = 5 * time.Second
	// patience is how long kubelet may take, on a node that is busy.
	patience = 20 * time.Second
)

// summaries asks kubelet, once for all who ask at the same time.
type summaries struct {
	url    string
	client *http.Client

	mutex sync.Mutex
	last  *statsapi.Summary
	when  time.Time
}

// newSummaries asks kubelet at the address, as whom tls identifies.
func newSummaries(address net.IP, port string, tls rest.TLSClientConfig) (*summaries, error) {
	client, err := rest.HTTPClientFor(&rest.Config{TLSClientConfig: tls, Timeout: patience})
	if err != nil {
		return nil, fmt.Errorf("client of kubelet: %w", err)
	}
	url := "https://" + net.JoinHostPort(address.String(), port) + "/stats/summary?only_cpu_and_memory=true"
	return &summaries{url: url, client: client}, nil
}

// get returns what kubelet says now, or said a moment ago.
func (s *summaries) get() (*statsapi.Summary, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.last != nil && time.Since(s.when) < fresh {
		return s.last, nil
	}
	found, err := s.ask()
	if err != nil {
		return nil, fmt.Errorf("kubelet: %w", err)
	}
	s.last, s.when = found, time.Now()
	return found, nil
}

func (s *summaries) ask() (*statsapi.Summary, error) {
	answer, err := s.client.Get(s.url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	found := &statsapi.Summary{}
	return found, json.NewDecoder(answer.Body).Decode(found)
}
