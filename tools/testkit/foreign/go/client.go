package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	bootstrap = os.Getenv("BOOTSTRAP")
	run       = strconv.FormatInt(time.Now().UnixMilli(), 36)
	ctx       = context.Background()
)

func name(text string) string { return "go-" + run + "-" + text }

func client(options ...kgo.Opt) *kgo.Client {
	all := append([]kgo.Opt{kgo.SeedBrokers(strings.Split(bootstrap, ",")...), kgo.RetryTimeout(20 * time.Second)}, options...)
	c, err := kgo.NewClient(all...)
	if err != nil {
		panic(err)
	}
	return c
}

func admin() *kadm.Client { return kadm.NewClient(client()) }

func topic(text string, partitions int32, configs ...string) (string, error) {
	a := admin()
	defer a.Close()
	values := map[string]*string{}
	for i := 0; i+1 < len(configs); i += 2 {
		values[configs[i]] = &configs[i+1]
	}
	_, err := a.CreateTopic(ctx, partitions, 1, values, name(text))
	return name(text), err
}

// produce sends all records on partition 0 in order and returns the first error.
func produce(records []*kgo.Record, options ...kgo.Opt) error {
	options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	c := client(options...)
	defer c.Close()
	return c.ProduceSync(ctx, records...).FirstErr()
}

// read reads count records of partition 0 from an offset on.
func read(where string, from kgo.Offset, count int, options ...kgo.Opt) ([]*kgo.Record, error) {
	place := map[string]map[int32]kgo.Offset{where: {0: from}}
	c := client(append(options, kgo.ConsumePartitions(place))...)
	defer c.Close()
	return take(c, count)
}

func take(c *kgo.Client, count int) ([]*kgo.Record, error) {
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := c.PollFetches(limit)
		if err := fetches.Err(); err != nil {
			return records, fmt.Errorf("after %d of %d records: %w", len(records), count, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

func numbers(where string, count int) []*kgo.Record {
	records := make([]*kgo.Record, count)
	for i := range records {
		text := []byte(strconv.Itoa(i))
		records[i] = &kgo.Record{Topic: where, Key: append([]byte("k"), text...), Value: text}
	}
	return records
}

func values(records []*kgo.Record) []string {
	var found []string
	for _, r := range records {
		found = append(found, string(r.Value))
	}
	return found
}
