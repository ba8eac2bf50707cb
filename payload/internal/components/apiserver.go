package components

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/pkg/generated/openapi"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
)

const bindAddress = "0.0.0.0"

// Events are what the API server waits for and tells. Each function is called once.
type Events struct {
	Database   <-chan struct{} // closed when kine serves; the API server prepares meanwhile
	Settled    <-chan struct{} // closed when the work that can wait may begin
	Configured func()          // clients may connect: they are answered in some seconds, when it listens
	Listening  func()          // connections are answered
	Roles      func()          // the default roles are there: the last thing before it is ready
}

// APIServer runs kube-apiserver until ctx ends.
func APIServer(ctx context.Context, c *Config, events Events) error {
	listener, _, err := genericoptions.CreateListener("tcp", net.JoinHostPort(bindAddress, strconv.Itoa(c.APIPort)), net.ListenConfig{})
	if err != nil {
		return err
	}
	defer listener.Close()
	config, err := apiServerConfig(ctx, c, listener)
	if err != nil {
		return err
	}
	select {
	case <-events.Database:
	case <-ctx.Done():
		return ctx.Err()
	}
	events.Configured()
	server, err := apiServerChain(c, config, events)
	if err != nil {
		return err
	}
	err = server.GenericAPIServer.AddPostStartHook("kubesolo-listening", func(genericapiserver.PostStartHookContext) error {
		events.Listening()
		return nil
	})
	if err != nil {
		return err
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	// 10 MB that are made anew when somebody asks for the description of the API (lazyOpenAPI).
	config.KubeAPIs.ControlPlane.Generic.OpenAPIV3Config.Definitions = nil
	return prepared.Run(ctx)
}

func apiServerConfig(ctx context.Context, c *Config, listener net.Listener) (*app.Config, error) {
	run := options.NewServerRunOptions()
	run.SecureServing.Listener = listener
	if err := parse("kube-apiserver", run.Flags(), apiServerArguments(c)); err != nil {
		return nil, err
	}
	if err := run.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, err
	}
	completed, err := run.Complete(ctx)
	if err != nil {
		return nil, err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return nil, utilerrors.NewAggregate(errs)
	}
	return app.NewConfig(completed)
}

// Warm runs, once, the code that describes all types of the API: the API server does so on its way to listen, and
// the first run of so much code takes most of the time.
func Warm() {
	openapi.GetOpenAPIDefinitions(func(string) spec.Ref { return spec.Ref{} })
}

// apiServerChain makes the chain of API servers: aggregator, Kubernetes, extensions. The middle one's OpenAPI
// description is made when it is asked for, and its default roles when events.Settled is closed.
func apiServerChain(c *Config, config *app.Config, events Events) (*aggregator.APIAggregator, error) {
	kubernetes := config.KubeAPIs.ControlPlane.Generic
	kubernetes.SkipOpenAPIInstallation = true
	kubernetes.DisabledPostStartHooks.Insert(rbacrest.PostStartHookName)
	defer definitionsOnce(kubernetes.OpenAPIV3Config)()
	openAPI := newLazyOpenAPI(kubernetes.OpenAPIConfig, kubernetes.OpenAPIV3Config)
	front := &config.Aggregator.GenericConfig.Config
	build := front.BuildHandlerChainFunc
	front.BuildHandlerChainFunc = func(handler http.Handler, chain *genericapiserver.Config) http.Handler {
		return build(openAPI.noticing(handler), chain)
	}
	complete, err := config.Complete()
	if err != nil {
		return nil, err
	}
	server, err := app.CreateServerChain(complete)
	if err != nil {
		return nil, err
	}
	middle, ok := server.GenericAPIServer.NextDelegate().(*genericapiserver.GenericAPIServer)
	if !ok {
		return nil, errors.New("the server behind the aggregator is of an unknown kind")
	}
	if c.Options.Wants("metrics") {
		if err := serveUsage(c, middle, config.KubeAPIs.ControlPlane.VersionedInformers); err != nil {
			return nil, err
		}
	}
	openAPI.install(middle.Handler.GoRestfulContainer, middle.Handler.NonGoRestfulMux)
	return server, errors.Join(openAPI.countAtStart(server.GenericAPIServer), deferRBAC(server.GenericAPIServer, events))
}

func apiServerArguments(c *Config) []string {
	args := []string{
		"--advertise-address=" + c.NodeIP.String(),
		"--bind-address=" + bindAddress,
		"--secure-port=" + strconv.Itoa(c.APIPort),
		"--etcd-servers=unix://" + c.KineSocket(),
		"--etcd-count-metric-poll-period=0",
		"--etcd-db-metric-poll-interval=0",
		"--client-ca-file=" + c.PKI.File("ca.crt"),
		"--tls-cert-file=" + c.PKI.File("apiserver.crt"),
		"--tls-private-key-file=" + c.PKI.File("apiserver.key"),
		"--kubelet-certificate-authority=" + c.PKI.File("ca.crt"),
		"--kubelet-client-certificate=" + c.PKI.File("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + c.PKI.File("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP,Hostname",
		"--proxy-client-cert-file=" + c.PKI.File("front-proxy-client.crt"),
		"--proxy-client-key-file=" + c.PKI.File("front-proxy-client.key"),
		"--requestheader-client-ca-file=" + c.PKI.File("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--service-account-issuer=https://kubernetes.default.svc." + ClusterDomain,
		"--service-account-key-file=" + c.PKI.File("sa.pub"),
		"--service-account-signing-key-file=" + c.PKI.File("sa.key"),
		"--service-cluster-ip-range=" + c.Networks.Services.String(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--anonymous-auth=false",
		"--allow-privileged=true",
		"--profiling=false",
		// The default reconciler writes a lease to the database every ten seconds for the sake of peers.
		"--endpoint-reconciler-type=master-count",
	}
	if !c.Options.Full {
		// One node's clients do not starve each other: no flow control, no informers for it.
		args = append(args, "--enable-priority-and-fairness=false")
	}
	return args
}
