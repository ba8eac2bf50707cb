package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"text/template/parse"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/kubectl/pkg/util/templates"
)

// Every method that kubectl's templates name must be kept: a new release of kubectl may name others.
func TestTemplatesCallNothingThatIsLeftOut(t *testing.T) {
	source, err := os.ReadFile("templates.go")
	if err != nil {
		t.Fatal(err)
	}
	methods := 0
	for _, text := range []string{
		templates.MainHelpTemplate(), templates.MainUsageTemplate(),
		templates.OptionsHelpTemplate(), templates.OptionsUsageTemplate(),
	} {
		tree := parse.New("kubectl")
		tree.Mode = parse.SkipFuncCheck
		if _, err := tree.Parse(text, "", "", map[string]*parse.Tree{}); err != nil {
			t.Fatal(err)
		}
		for _, name := range names(reflect.ValueOf(tree.Root), map[any]bool{}) {
			if !isMethod(name) {
				continue
			}
			methods++
			if !strings.Contains(string(source), fmt.Sprintf("MethodByName(%q)", name)) {
				t.Errorf("a template of kubectl calls %s, which is not kept", name)
			}
		}
	}
	if methods < 10 {
		t.Errorf("only %d methods were found", methods)
	}
}

func isMethod(name string) bool {
	for _, value := range []any{&cobra.Command{}, &pflag.FlagSet{}} {
		if _, found := reflect.TypeOf(value).MethodByName(name); found {
			return true
		}
	}
	return false
}

// names returns all identifiers after a dot in a parsed template.
func names(value reflect.Value, seen map[any]bool) (found []string) {
	switch value.Kind() {
	case reflect.Interface:
		return names(value.Elem(), seen)
	case reflect.Pointer:
		if value.IsNil() || seen[value.Interface()] {
			return nil
		}
		seen[value.Interface()] = true
		switch node := value.Interface().(type) {
		case *parse.FieldNode:
			found = node.Ident
		case *parse.VariableNode:
			found = node.Ident[1:]
		case *parse.ChainNode:
			found = node.Field
		}
		return append(found, names(value.Elem(), seen)...)
	case reflect.Slice:
		for i := range value.Len() {
			found = append(found, names(value.Index(i), seen)...)
		}
	case reflect.Struct:
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				found = append(found, names(value.Field(i), seen)...)
			}
		}
	}
	return found
}
