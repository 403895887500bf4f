// franz-go against the broker at $BOOTSTRAP. Called with "member", it is a group member to be killed.
package main

import (
	"os"
)

func main() {
	if len(os.Args) > 1 {
		subcommand(os.Args[1:])
		return
	}
	recordCases()
	readCases()
	adminCases()
	groupCases()
	runCases()
}
