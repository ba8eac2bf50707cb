package components

import (
	"context"
	"errors"
	"net/http"
	"net/http/pprof"
)

const pprofAddress = "127.0.0.1:6060"

// Pprof serves Go profiles (net/http/pprof) on loopback until ctx ends.
func Pprof(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Addr: pprofAddress, Handler: mux}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
