// Command serverplane is the panel and its command line.
package main

import (
	"os"

	"github.com/serverplane/serverplane/internal/cli"
)

func main() { os.Exit(cli.Main()) }
