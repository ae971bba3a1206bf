package daemon

import (
	"fmt"
	"strings"
)

// maxAccount bounds the providers that an account names of each kind.
const maxAccount = 5

// account says in a line why those who were asked do not help; empty if one of
// them serves, or nobody has answered anything.
func (p *providers) account() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.answers()
	if a.serving {
		return ""
	}
	var banned []string
	for id := range p.banned {
		banned = append(banned, id.String())
	}
	var parts []string
	for _, kind := range []struct {
		words string
		peers []string
	}{{"refused by", a.refused}, {"not had by", a.absent}, {"sent wrong bytes:", banned}, {"no help from", a.unclear}} {
		if len(kind.peers) > 0 {
			parts = append(parts, kind.words+" "+nameSome(kind.peers))
		}
	}
	if len(parts) == 0 {
		return "nobody was found to ask"
	}
	return strings.Join(parts, "; ")
}

// nameSome lists the first few.
func nameSome(names []string) string {
	if more := len(names) - maxAccount; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxAccount], ", "), more)
	}
	return strings.Join(names, ", ")
}
