package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

type byTLSKey struct{}

// behind believes what a proxy of the list says of who asks and whether they
// came over TLS; from anybody else the same words are just a visitor's. With no
// list nobody is believed.
func behind(proxies []netip.Prefix, next http.Handler) http.Handler {
	if len(proxies) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !trusts(proxies, from.Addr()) {
			next.ServeHTTP(w, r)
			return
		}
		r = r.Clone(context.WithValue(r.Context(), byTLSKey{}, lastOf(r.Header.Values("X-Forwarded-Proto")) == "https"))
		r.RemoteAddr = net.JoinHostPort(visitor(proxies, from.Addr(), r.Header.Values("X-Forwarded-For")).String(), "0")
		next.ServeHTTP(w, r)
	})
}

// lastOf is what the nearest proxy wrote; what stands before it may be the visitor's.
func lastOf(values []string) string {
	all := strings.Split(strings.Join(values, ","), ",")
	return strings.TrimSpace(all[len(all)-1])
}

// visitor is the last address, read from the right, that no trusted proxy has: what
// stands further left was written by the visitor.
func visitor(proxies []netip.Prefix, from netip.Addr, forwarded []string) netip.Addr {
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return from
		}
		if from = hop.Unmap().WithZone(""); !trusts(proxies, from) {
			return from
		}
	}
	return from
}

func trusts(proxies []netip.Prefix, a netip.Addr) bool {
	for _, p := range proxies {
		if p.Contains(a.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// byTLS tells whether nobody between the visitor and the panel could read.
func byTLS(r *http.Request) bool {
	over, _ := r.Context().Value(byTLSKey{}).(bool)
	return r.TLS != nil || over
}
