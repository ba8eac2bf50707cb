package main

import (
	"reflect"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// keepTemplateMethods names the methods that kubectl's templates call, so that the linker keeps them: the node's
// programs are built with a text/template for which it does not keep every exported method of every type. A
// method that is missing here ends kubectl when it shows the help.
func keepTemplateMethods() {
	command, flags := reflect.ValueOf(&cobra.Command{}), reflect.ValueOf(&pflag.FlagSet{})
	command.MethodByName("HasAvailableSubCommands")
	command.MethodByName("HasExample")
	command.MethodByName("HasInheritedFlags")
	command.MethodByName("HasSubCommands")
	command.MethodByName("InheritedFlags")
	command.MethodByName("LocalFlags")
	command.MethodByName("NameAndAliases")
	command.MethodByName("PersistentFlags")
	command.MethodByName("Runnable")
	command.MethodByName("UsageString")
	command.MethodByName("UseLine")
	flags.MethodByName("HasFlags")
}
