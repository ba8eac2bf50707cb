package components

import (
	"context"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
)

// volumePlugins is where operators may put FlexVolume drivers: the default is on the read-only root.
const volumePlugins = "/var/lib/kubelet/volumeplugins"

// Kubelet runs the kubelet until ctx ends. What it has begun for its pods does not end with ctx: a container that
// stops afterwards would be started again. So it reaches the container runtime through a line that is cut then.
func Kubelet(ctx context.Context, c *Config) error {
	flags := options.NewKubeletFlags()
	flags.KubeConfig = c.PKI.Kubeconfig("kubelet-client")
	flags.HostnameOverride = c.NodeName
	flags.NodeIP = c.NodeIP.String()
	flags.RootDirectory = "/var/lib/kubelet"
	config, err := kubeletConfiguration(c)
	if err != nil {
		return err
	}
	runtime := line{path: filepath.Join(c.RunDir, "kubelet-cri.sock"), server: ContainerdSocket}
	closed, err := runtime.open(ctx)
	if err != nil {
		return err
	}
	defer closed()
	config.ContainerRuntimeEndpoint = "unix://" + runtime.path
	config.ImageServiceEndpoint = config.ContainerRuntimeEndpoint
	server := &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *config}
	dependencies, err := app.UnsecuredDependencies(ctx, server, utilfeature.DefaultFeatureGate)
	if err != nil {
		return err
	}
	return app.Run(ctx, server, dependencies, utilfeature.DefaultFeatureGate)
}

func kubeletConfiguration(c *Config) (*kubeletconfig.KubeletConfiguration, error) {
	k, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, err
	}
	// The option structs keep the defaults of an old command line: open to everybody.
	k.Authentication.Anonymous.Enabled = false
	k.Authentication.Webhook.Enabled = true
	k.Authentication.X509.ClientCAFile = c.PKI.File("ca.crt")
	k.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook
	k.ReadOnlyPort = 0
	k.HealthzBindAddress = "127.0.0.1"
	k.TLSCertFile = c.PKI.File("kubelet.crt")
	k.TLSPrivateKeyFile = c.PKI.File("kubelet.key")
	k.CgroupDriver = "cgroupfs"
	k.ProtectKernelDefaults = true
	k.FailSwapOn = false
	k.ClusterDNS = []string{c.Networks.DNS().String()}
	k.ClusterDomain = ClusterDomain
	k.ResolverConfig = "/etc/resolv.conf"
	k.RegisterNode = true
	// Pods that ask for nothing may not make the system calls that no container needs.
	k.SeccompDefault = true
	k.VolumePluginDir = volumePlugins
	k.SerializeImagePulls = true
	k.EnableProfilingHandler = false
	k.EnableDebugFlagsHandler = false
	// Writes and wake-ups that a single node does not need so often.
	k.NodeStatusReportFrequency = metav1.Duration{Duration: 5 * time.Minute}
	k.VolumeStatsAggPeriod = metav1.Duration{Duration: 5 * time.Minute}
	return k, nil
}
