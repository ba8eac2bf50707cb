package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"

	"kubesolo.io/os/payload/internal/options"
	"kubesolo.io/os/payload/internal/pki"
)

// kubectl runs kubectl's own command line; without a kubeconfig from the user it takes the administrator's.
func kubectl() int {
	if _, set := os.LookupEnv("KUBECONFIG"); !set {
		if admin := pki.New(options.DefaultPath + "/pki").AdminKubeconfig(); readable(admin) {
			os.Setenv("KUBECONFIG", admin)
		}
	}
	keepTemplateMethods()
	return cli.Run(cmd.NewDefaultKubectlCommand())
}

func readable(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	file.Close()
	return true
}
