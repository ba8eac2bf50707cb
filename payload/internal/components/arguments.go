package components

import (
	"fmt"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"

	"kubesolo.io/os/payload/internal/journal"
)

// parse sets a component's options by the flags that it has on its own command line, which are documented
// and stable, unlike the option structs behind them.
func parse(component string, sets cliflag.NamedFlagSets, args []string) error {
	defer journal.KeepQuiet()
	flags := pflag.NewFlagSet(component, pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("flags: %w", err)
	}
	return nil
}
