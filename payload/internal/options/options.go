// Package options reads the command line and the KUBESOLO_* environment of the payload.
package options

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"kubesolo.io/os/payload/internal/durable"
	"kubesolo.io/os/payload/internal/networks"
)

// DefaultPath is where a node keeps its state.
const DefaultPath = "/var/lib/kubesolo"

// Options is what an operator may ask for. Precedence: command line, environment, default.
type Options struct {
	Path                   string
	ExtraSANs              []string
	PodCIDR                string
	ServiceCIDR            string
	LocalStorage           bool
	LocalStorageSharedPath string
	EdgeID                 string
	EdgeKey                string
	EdgeAsync              bool
	DisabledAddons         []string
	Debug                  bool
	PprofServer            bool
	LoadBalancer           bool
	DisableIPv6            bool
	DBWALRepair            bool
	Full                   bool
	Version                bool
}

// Addons are those that are there unless they are switched off. The others have flags of their own.
var Addons = []string{"coredns", "metrics"}

// ErrHelp says that --help was asked for and that the usage text has been printed.
var ErrHelp = pflag.ErrHelp

// Parse reads args (without the program's name) and, for flags that are not among them, the environment
// variable KUBESOLO_<FLAG> as found by lookup. Errors name the flag or variable.
func Parse(args []string, lookup func(string) (string, bool)) (*Options, error) {
	o := &Options{}
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q (kubesolo takes flags only; see --help)", flags.Arg(0))
	}
	var problems []error
	flags.VisitAll(func(f *pflag.Flag) {
		value, set := lookup(variable(f.Name))
		if f.Changed || !set || value == "" || f.Name == "version" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", variable(f.Name), redact(f.Name, err)))
		}
	})
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return o, o.validate()
}

func (o *Options) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("kubesolo", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVar(&o.Path, "path", DefaultPath, "folder of the cluster's state: database and PKI")
	f.StringSliceVar(&o.ExtraSANs, "apiserver-extra-sans", nil, "more host names and addresses that the API server's certificate is valid for")
	f.StringVar(&o.PodCIDR, "pod-cidr", "", "the pods' network, chosen before the first start (default "+networks.DefaultPods+")")
	f.StringVar(&o.ServiceCIDR, "service-cidr", "", "the Services' network, chosen before the first start; cluster DNS is its tenth address (default "+networks.DefaultServices+")")
	f.BoolVar(&o.LocalStorage, "local-storage", false, "make volumes on the data partition, with a default StorageClass local-path")
	f.StringVar(&o.LocalStorageSharedPath, "local-storage-shared-path", "", "folder of volumes that several nodes may write to (ReadWriteMany), such as a mount of a file server")
	f.StringVar(&o.EdgeID, "portainer-edge-id", "", "Portainer Edge ID")
	f.StringVar(&o.EdgeKey, "portainer-edge-key", "", "Portainer Edge key (a secret: prefer the environment variable)")
	f.BoolVar(&o.EdgeAsync, "portainer-edge-async", false, "run the Portainer Edge agent in async mode")
	f.StringSliceVar(&o.DisabledAddons, "disable-addons", nil, "add-ons that are not wanted: "+strings.Join(Addons, ", "))
	f.BoolVar(&o.Debug, "debug", false, "log everything that the components say")
	f.BoolVar(&o.PprofServer, "pprof-server", false, "serve Go profiles on 127.0.0.1:6060")
	f.BoolVar(&o.LoadBalancer, "load-balancer", false, "give Services of type LoadBalancer the node's address")
	f.BoolVar(&o.DisableIPv6, "disable-ipv6", false, "ignore the node's IPv6 addresses")
	f.BoolVar(&o.DBWALRepair, "db-wal-repair", false, "check and repair the database's write-ahead log before start")
	f.BoolVar(&o.Full, "full", false, "run every controller and favour speed over memory")
	f.BoolVar(&o.Version, "version", false, "print the version and exit")
	f.Usage = func() {
		fmt.Println("kubesolo: a one-node Kubernetes cluster in one process")
		fmt.Println("\nEvery flag can also be given as an environment variable, for example KUBESOLO_PATH.")
		fmt.Printf("\nFlags:\n%s", f.FlagUsagesWrapped(100))
	}
	return f
}

func (o *Options) validate() error {
	if !filepath.IsAbs(o.Path) {
		return fmt.Errorf("--path: %q is not an absolute path", o.Path)
	}
	for i, name := range o.ExtraSANs {
		o.ExtraSANs[i] = strings.TrimSpace(name)
		if o.ExtraSANs[i] == "" {
			return errors.New("--apiserver-extra-sans: empty name in the list")
		}
	}
	for _, name := range o.DisabledAddons {
		if !slices.Contains(Addons, name) {
			return fmt.Errorf("--disable-addons: %q is none of %s", name, strings.Join(Addons, ", "))
		}
	}
	if shared := o.LocalStorageSharedPath; shared != "" && !filepath.IsAbs(shared) {
		return fmt.Errorf("--local-storage-shared-path: %q is not an absolute path", shared)
	}
	_, err := networks.Parse(o.PodCIDR, o.ServiceCIDR)
	return err
}

// Wants says whether an add-on is not switched off.
func (o *Options) Wants(addon string) bool { return !slices.Contains(o.DisabledAddons, addon) }

// PreparePath makes the state folder and proves that it can be written to.
func (o *Options) PreparePath() error {
	if err := os.MkdirAll(o.Path, 0o711); err != nil {
		return fmt.Errorf("--path: %w", err)
	}
	probe, err := os.CreateTemp(o.Path, ".writable-")
	if durable.IsFull(err) { // the API must come up, as things are deleted through it
		durable.GiveUpReserve()
		return nil
	}
	if err != nil {
		return fmt.Errorf("--path: %s can not be written to: %w", o.Path, errors.Unwrap(err))
	}
	probe.Close()
	return os.Remove(probe.Name())
}

// String shows the options without the edge key's value.
func (o *Options) String() string {
	key := "unset"
	if o.EdgeKey != "" {
		key = "(hidden)"
	}
	return strings.Join([]string{
		"path=" + o.Path, "extra-sans=" + strings.Join(o.ExtraSANs, ","), "edge-key=" + key,
		"debug=" + strconv.FormatBool(o.Debug), "disable-ipv6=" + strconv.FormatBool(o.DisableIPv6),
		"full=" + strconv.FormatBool(o.Full),
	}, " ")
}

func variable(flag string) string {
	return "KUBESOLO_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func redact(flag string, err error) error {
	if flag == "portainer-edge-key" {
		return errors.New("bad value")
	}
	return err
}
