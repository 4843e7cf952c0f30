// Package nginx turns values into the Nginx files of one server. It is pure: it looks at
// nothing, changes nothing, and the same Tree always gives the same text.
//
// Everything that becomes text passes an allow-list first (see Refusal), so that no name a
// person types can add a directive.
//
// The shape rendered here is the one measured to lose no request. Two kinds of server block
// exist per app. The entry, on the primary only, is what visitors reach: it picks a slot by a
// marker file, balances over the backends and repeats what a backend refused. A local site, one
// per slot and server, stands between the entry and the app's process: it believes forwarded
// headers only from the entry and tells "nothing was sent to the process" (598) apart from
// every other failure, which is what makes repeating a POST safe.
//
// Codes and headers that entry and local site use between themselves:
//
//	595                     inside the entry: a backend refused, ask the others
//	596                     inside the entry: no ordinary request, take the careful way
//	597                     inside the entry: a reload is announced, close kept connections
//	598                     local site: the process does not listen, nothing was sent; inside the
//	                        entry, before anybody was asked: look closer at this request
//	429                     local site: as 598, when the request is already a repeat
//	X-Serverplane-Retry     entry -> local site: this request is a repeat
//	X-Serverplane-Refused   local site -> entry: 1, this 598 or 429 is ours and not the app's;
//	                        limited, this 598 stands for the app's own 429 to a repeat
//
// Where all refused, the visitor gets 502, or, while the only backend of the app is restarted as announced (see GapPath), 503.
// A local site does the same where its process took a safe request and gave no answer.
//
// An app may use all of these itself. Its 429 and 595 to 597 reach the visitor as they are, its 598
// becomes a 502, and none of them makes a request be carried out twice. On a repeat, and only
// there, its 429, 502 and 504 keep their code and lose their body.
//
// Where an app is files, the process is an Nginx of its own that runs as the app's user (see Web).
// When it cannot hand a request to its php-fpm, it answers 598 with X-Serverplane-Refused: 1 and
// X-Accel-Redirect: @failed, and the local site treats that as a process that does not listen. A
// process that says so itself has only its own requests repeated.
//
// Limits chosen here: a backend may be silent for 60 s (an event stream or WebSocket too, so
// that they should send a sign of life more often), a request body may have 100 MB and is
// taken in completely before it is passed on, since only then it can be repeated. Requests are
// logged by the entry only, each app's in a file of its own; errors everywhere.
package nginx
