// franz-go against the broker at $BOOTSTRAP. `member TOPIC GROUP` is a group member to be killed,
// `restart before|after` are the cases around a broker's restart, `failover STOP` those of a cluster
// whose brokers die until the file STOP is there.
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
	if len(os.Args) == 3 && os.Args[1] == "failover" {
		failoverCases(os.Args[2])
		runCases()
		return
	}
	recordCases()
	readCases()
	adminCases()
	groupCases()
	transactionCases()
	runCases()
}
