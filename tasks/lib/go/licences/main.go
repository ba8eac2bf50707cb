// licences says which licences the files named on its command line contain: one JSON object on standard output,
// each file's SPDX identifiers in order. It recognises texts with Google's licence classifier, as Go's own
// package site does.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	classifier "github.com/google/licenseclassifier/v2"
	"github.com/google/licenseclassifier/v2/assets"
)

func main() {
	found, err := classify(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// classify gives the identifiers for each file; none for a text that is no licence.
func classify(paths []string) (map[string][]string, error) {
	known, err := assets.DefaultClassifier()
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found[path] = names(known.Match(known.Normalize(text)).Matches)
	}
	return found, nil
}

// names are the licences among the matches, each once; headers and copyright lines are not licences.
func names(matches classifier.Matches) []string {
	found := []string{}
	for _, match := range matches {
		if match.MatchType == "License" {
			found = append(found, match.Name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
