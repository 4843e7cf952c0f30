// Package files writes every file ServerPlane puts on a server, apart from Nginx's and the
// playbooks, and is the one place that knows where those files are. It is pure: values in, text
// out. Each encoder has an allow-list and answers a *Refusal naming field and rule; the text it
// does give means exactly the values it was given, whatever they contain.
package files
