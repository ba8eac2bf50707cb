package netpolicy

import (
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// Table is the table's name, in the family inet.
const Table = "kubesolo-netpolicy"

// Ruleset is the table's content.
type Ruleset struct {
	Sets   map[string]*Set
	Chains map[string]*Chain
}

// Set is a set, or with Verdicts a map from keys to verdicts.
type Set struct {
	Type     string // of the key, nft(8)
	Verdicts bool
	Comment  string
	Elements map[string]string // key, its parts joined by " . ": verdict, "" in a set
}

// Chain is a list of rules; Priority is that of a chain at the forward hook, "" for one that others jump to.
type Chain struct {
	Priority string
	Rules    []string
}

func newRuleset() *Ruleset {
	return &Ruleset{Sets: map[string]*Set{}, Chains: map[string]*Chain{}}
}

// set returns the set of that name, made when it is new.
func (r *Ruleset) set(name, kind, comment string) *Set {
	s, found := r.Sets[name]
	if !found {
		s = &Set{Type: kind, Comment: comment, Elements: map[string]string{}}
		r.Sets[name] = s
	}
	return s
}

func (r *Ruleset) verdicts(name, kind, comment string) *Set {
	s := r.set(name, kind, comment)
	s.Verdicts = true
	return s
}

// addWhole makes the transaction that replaces whatever the table has: at no moment is there no table.
func addWhole(tx *knftables.Transaction, wanted *Ruleset) {
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("NetworkPolicies")})
	addChanges(tx, newRuleset(), wanted)
}

// addChanges makes the transaction that turns one content into another. What is referred to is there before what
// refers to it and goes after it, as nft demands.
func addChanges(tx *knftables.Transaction, has, wanted *Ruleset) {
	for _, name := range sorted(wanted.Sets) {
		if has.Sets[name] == nil {
			tx.Add(wanted.Sets[name].object(name))
		}
	}
	for _, name := range sorted(wanted.Chains) {
		if has.Chains[name] == nil {
			tx.Add(wanted.Chains[name].object(name))
		}
	}
	for _, name := range sorted(wanted.Chains) {
		addRules(tx, name, has.Chains[name], wanted.Chains[name])
	}
	for _, name := range sorted(wanted.Sets) {
		addElements(tx, name, has.Sets[name], wanted.Sets[name])
	}
	removeRest(tx, has, wanted)
}

func addRules(tx *knftables.Transaction, name string, has, wanted *Chain) {
	if has != nil {
		if slices.Equal(has.Rules, wanted.Rules) {
			return
		}
		tx.Flush(&knftables.Chain{Name: name})
	}
	for _, rule := range wanted.Rules {
		tx.Add(&knftables.Rule{Chain: name, Rule: rule})
	}
}

func addElements(tx *knftables.Transaction, name string, has, wanted *Set) {
	var old map[string]string
	if has != nil {
		old = has.Elements
	}
	for _, key := range sorted(old) {
		if verdict, stays := wanted.Elements[key]; !stays || verdict != old[key] {
			tx.Delete(wanted.element(name, key, old[key]))
		}
	}
	for _, key := range sorted(wanted.Elements) {
		if verdict, there := old[key]; !there || verdict != wanted.Elements[key] {
			tx.Add(wanted.element(name, key, wanted.Elements[key]))
		}
	}
}

func removeRest(tx *knftables.Transaction, has, wanted *Ruleset) {
	var chains []string
	for _, name := range sorted(has.Chains) {
		if wanted.Chains[name] == nil {
			chains = append(chains, name)
			tx.Flush(&knftables.Chain{Name: name})
		}
	}
	for _, name := range chains {
		tx.Delete(&knftables.Chain{Name: name})
	}
	for _, name := range sorted(has.Sets) {
		if wanted.Sets[name] == nil {
			tx.Delete(has.Sets[name].object(name))
		}
	}
}

func (s *Set) object(name string) knftables.Object {
	var comment *string
	if s.Comment != "" {
		comment = &s.Comment
	}
	if s.Verdicts {
		return &knftables.Map{Name: name, Type: s.Type + " : verdict", Comment: comment}
	}
	return &knftables.Set{Name: name, Type: s.Type, Comment: comment}
}

func (s *Set) element(name, key, verdict string) *knftables.Element {
	parts := strings.Split(key, " . ")
	if s.Verdicts {
		return &knftables.Element{Map: name, Key: parts, Value: []string{verdict}}
	}
	return &knftables.Element{Set: name, Key: parts}
}

func (c *Chain) object(name string) knftables.Object {
	if c.Priority == "" {
		return &knftables.Chain{Name: name}
	}
	return &knftables.Chain{
		Name: name, Type: knftables.PtrTo(knftables.FilterType), Hook: knftables.PtrTo(knftables.ForwardHook),
		Priority: knftables.PtrTo(knftables.BaseChainPriority(c.Priority)),
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
