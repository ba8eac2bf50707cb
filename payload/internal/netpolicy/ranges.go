package netpolicy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// span is a range of addresses of one family, both ends included.
type span struct{ first, last netip.Addr }

func (s span) String() string { return s.first.String() + "-" + s.last.String() }

func spanOf(prefix netip.Prefix) span {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return span{prefix.Masked().Addr(), last}
}

// without returns what is left of the span when another one of its family is taken out.
func (s span) without(hole span) []span {
	if hole.last.Less(s.first) || s.last.Less(hole.first) {
		return []span{s}
	}
	var left []span
	if s.first.Less(hole.first) {
		left = append(left, span{s.first, hole.first.Prev()})
	}
	if hole.last.Less(s.last) {
		left = append(left, span{hole.last.Next(), s.last})
	}
	return left
}

// blockSpans returns the addresses of a block less its exceptions, in order. A block that can not be read, or an
// exception, allows nothing: what is let through must be certain.
func blockSpans(block *networkingv1.IPBlock) (spans []span, ipv6 bool, err error) {
	whole, err := readBlock(block.CIDR)
	if err != nil {
		return nil, false, err
	}
	spans, ipv6 = []span{spanOf(whole)}, whole.Addr().Is6()
	for _, text := range block.Except {
		hole, err := readBlock(text)
		if err != nil {
			return nil, ipv6, err
		}
		if hole.Addr().Is6() != ipv6 {
			continue
		}
		var left []span
		for _, s := range spans {
			left = append(left, s.without(spanOf(hole))...)
		}
		spans = left
	}
	slices.SortFunc(spans, func(a, b span) int { return a.first.Compare(b.first) })
	return spans, ipv6, nil
}

func readBlock(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		return prefix, fmt.Errorf("%q is not a network", text)
	}
	return prefix.Masked(), nil
}

// portSpan is a range of ports, both ends included.
type portSpan struct{ first, last int32 }

func (s portSpan) String() string {
	if s.first == s.last {
		return fmt.Sprint(s.first)
	}
	return fmt.Sprintf("%d-%d", s.first, s.last)
}

// mergePorts returns the same ports in as few ranges as possible: nft refuses those that overlap.
func mergePorts(spans []portSpan) []portSpan {
	slices.SortFunc(spans, func(a, b portSpan) int { return cmp.Compare(a.first, b.first) })
	var merged []portSpan
	for _, s := range spans {
		if n := len(merged); n > 0 && s.first <= merged[n-1].last+1 {
			merged[n-1].last = max(merged[n-1].last, s.last)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// anyOf writes an anonymous set (nft(8), SETS).
func anyOf[T fmt.Stringer](spans []T) string {
	words := make([]string, len(spans))
	for i, s := range spans {
		words[i] = s.String()
	}
	return "{ " + strings.Join(words, ", ") + " }"
}
