package runner

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// receiptMark begins a line by which a step on a server says what it took away
// or left (say_receipt of playbooks/steps/app_remove.py); JSON follows.
const receiptMark = "receipt: "

// What a removal takes away besides what the server itself tells of.
const (
	partPlace = "place in the upstream"
	partSite  = "Nginx site"
	partRest  = "process and units, firewall rules, user, files and folders"
)

// receive takes a line of the receipt out of a step's output.
func (j *job) receive(server, line string) bool {
	text, is := strings.CutPrefix(strings.TrimSpace(line), receiptMark)
	if !is {
		return false
	}
	var r plane.ReceiptLine
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return false // shown as it is
	}
	r.Server = server
	j.note(r)
	return true
}

// note adds a line to the receipt and to the log. What is said of a thing again
// replaces what was said before.
func (j *job) note(r plane.ReceiptLine) {
	j.receipt = slices.DeleteFunc(j.receipt, func(o plane.ReceiptLine) bool { return o.Server == r.Server && o.What == r.What })
	j.receipt = append(j.receipt, r)
	word := "left: "
	if r.Done {
		word = "done: "
	}
	text := word + r.What
	if r.Detail != "" {
		text += " (" + r.Detail + ")"
	}
	j.say(r.Server, "%s", text)
}

// left lists what the receipt says is still on a server.
func (j *job) left(server string) []string {
	var out []string
	for _, r := range j.receipt {
		if r.Server == server && !r.Done {
			out = append(out, r.What)
		}
	}
	return out
}

func (j *job) keepReceipt(ctx context.Context, tx *store.Tx) error {
	if len(j.receipt) == 0 {
		return nil
	}
	return tx.SetReceipt(ctx, j.run.ID, j.Owner, j.run.Attempt, j.receipt)
}

// withoutReceipt leaves a command's output as a person should read it.
func withoutReceipt(text string) string {
	var out strings.Builder
	for l := range strings.Lines(text) {
		if !strings.HasPrefix(l, receiptMark) {
			out.WriteString(l)
		}
	}
	return out.String()
}
