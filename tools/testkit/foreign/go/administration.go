package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func adminCases() {
	feature("cluster: id, controller, one broker", func() error {
		a := admin()
		defer a.Close()
		m, err := a.BrokerMetadata(ctx)
		if err != nil {
			return err
		}
		return eq("cluster", []any{m.Cluster != "", m.Controller >= 0, len(m.Brokers)}, []any{true, true, 1})
	})
	feature("topics: create, create again, more partitions, never fewer, delete", func() error {
		t, err := topic("topics", 2)
		if err != nil {
			return err
		}
		if _, err := topic("topics", 2); !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("created again: %v", err)
		}
		a := admin()
		defer a.Close()
		if _, err := a.UpdatePartitions(ctx, 4, t); err != nil {
			return err
		}
		fewer, err := a.UpdatePartitions(ctx, 3, t)
		if err != nil {
			return err
		}
		if !errors.Is(fewer[t].Err, kerr.InvalidPartitions) {
			return fmt.Errorf("fewer partitions: %v", fewer[t].Err)
		}
		partitions := func() int {
			d, _ := a.ListTopics(ctx, t)
			return len(d[t].Partitions)
		}
		if err := until("four partitions", 10*time.Second, func() bool { return partitions() == 4 }); err != nil {
			return err
		}
		if _, err := a.DeleteTopic(ctx, t); err != nil {
			return err
		}
		return until("deleted", 10*time.Second, func() bool {
			d, err := a.ListTopics(ctx, t)
			return err == nil && !d.Has(t)
		})
	})
	feature("bad names and sizes are refused, each with its error", func() error {
		a := admin()
		defer a.Close()
		create := func(t string, partitions int32, replicas int16) error {
			_, err := a.CreateTopic(ctx, partitions, replicas, nil, t)
			return err
		}
		return errors.Join(
			is("name", create("a/b", 1, 1), kerr.InvalidTopicException),
			is("partitions", create(name("p0"), 0, 1), kerr.InvalidPartitions),
			is("replicas", create(name("r9"), 1, 9), kerr.InvalidReplicationFactor),
		)
	})
	feature("configs: set, append, delete, and where a value comes from", func() error {
		t, err := topic("configs", 1)
		if err != nil {
			return err
		}
		a := admin()
		defer a.Close()
		value := func(key string) string {
			configs, err := a.DescribeTopicConfigs(ctx, t)
			if err != nil {
				return err.Error()
			}
			for _, c := range configs[0].Configs {
				if c.Key == key {
					return c.MaybeValue() + " " + c.Source.String()
				}
			}
			return "none"
		}
		alter := func(op kadm.IncrementalOp, key, v string) error {
			r, err := a.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: key, Value: &v}}, t)
			if err != nil {
				return err
			}
			return r[0].Err
		}
		settled := func(key, want string) error {
			return until(key+" "+want+", now "+value(key), 10*time.Second, func() bool { return value(key) == want })
		}
		return errors.Join(
			settled("retention.ms", "604800000 DEFAULT_CONFIG"),
			alter(kadm.SetConfig, "retention.ms", "777"),
			settled("retention.ms", "777 DYNAMIC_TOPIC_CONFIG"),
			alter(kadm.AppendConfig, "cleanup.policy", "compact"),
			settled("cleanup.policy", "delete,compact DYNAMIC_TOPIC_CONFIG"),
			alter(kadm.DeleteConfig, "retention.ms", ""),
			settled("retention.ms", "604800000 DEFAULT_CONFIG"),
		)
	})
	feature("log directories name the partition and its size", func() error {
		t, err := topic("logdirs", 1)
		if err != nil {
			return err
		}
		if err := produce(numbers(t, 10)); err != nil {
			return err
		}
		a := admin()
		defer a.Close()
		set := kadm.TopicsSet{}
		set.Add(t, 0)
		dirs, err := a.DescribeAllLogDirs(ctx, set)
		if err != nil {
			return err
		}
		sizes := []int64{}
		dirs.Each(func(d kadm.DescribedLogDir) {
			if p, found := d.Topics.Lookup(t, 0); found {
				sizes = append(sizes, p.Size)
			}
		})
		if len(sizes) != 1 || sizes[0] < 100 {
			return fmt.Errorf("sizes %v", sizes)
		}
		return nil
	})
}
