// franz-go against the broker at $BOOTSTRAP. `member TOPIC GROUP` is a group member to be killed,
// `restart before|after` are the cases around a broker's restart.
package main

import (
	"os"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "member" {
		readForever(os.Args[2], os.Args[3])
	}
	if len(os.Args) == 3 && os.Args[1] == "restart" {
		restartCases(os.Args[2])
		runCases()
		return
	}
	recordCases()
	readCases()
	adminCases()
	groupCases()
	runCases()
}
