package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

// warningFiles is the id of the warning that lb enable acknowledges.
const warningFiles = "local_writes"

const filesWarning = `
  !!  WARNING: FILES STAY WHERE THEY ARE WRITTEN
  !!
  !!  With several backends, whatever %[1]s writes to its own disk (uploads, sessions, caches, an SQLite
  !!  file) is on the one backend that served the request and nowhere else. A visitor who is sent to
  !!  another backend does not find it. ServerPlane never copies files between backends.
  !!
  !!  Keep such data in the database, in Redis or in an object store before you add a second backend.

`

func (sh *shell) balancer() *cobra.Command {
	return group("lb", "Load balancers of apps", sh.balancerEnable(), sh.balancerShow(), sh.served(), sh.balancerSet(), sh.balancerPreview(),
		sh.balancerDisable())
}

func (sh *shell) balancerEnable() *cobra.Command {
	var w client.BalancerWish
	cmd := &cobra.Command{Use: "enable APP", Short: "Make an app's server the entry for several backends", Args: cobra.ExactArgs(1)}
	wait := waitFlag(cmd)
	yes := cmd.Flags().Bool("yes", false, "the warnings are understood; do not ask")
	cmd.Flags().StringVar(&w.Method, "method", "", "round-robin, least-connections or ip-hash (default round-robin)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		fmt.Fprint(sh.Err, clean(fmt.Sprintf(filesWarning, args[0])))
		if err := sh.consent(*yes, "enabling the load balancer of "+args[0], args[0]); err != nil {
			return err
		}
		w.Acknowledge = []string{warningFiles}
		work, err := c.EnableBalancer(cmd.Context(), args[0], w)
		if err != nil {
			return err
		}
		return sh.begun(cmd.Context(), c, work.Run, *wait)
	}
	return cmd
}

func nameHeaderLine(lb client.LoadBalancer) string {
	if lb.NameHeader {
		return "on: answers name their backend in X-Served-By"
	}
	return "off"
}

func (sh *shell) balancerShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show APP", Short: "Show an app's load balancer", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		lb, err := c.Balancer(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		h := lb.HealthCheck
		err = sh.show(*f, lb, [][]string{
			{"status", lb.Status}, {"reason", or(lb.Reason)}, {"method", lb.Method},
			{"health check", fmt.Sprintf("GET %s every %s, limit %s, unhealthy after %d, healthy after %d", h.Path, h.Interval, h.Timeout, h.Fall, h.Rise)},
			{"automatic take-out", takeOutLine(h)}, {"name header", nameHeaderLine(lb)}, {"entry", pendingLine(lb)},
		})
		if err != nil || *f == "json" {
			return err
		}
		fmt.Fprintln(sh.Out)
		return sh.show(*f, nil, backendRows(lb.Backends))
	}
	return cmd
}
