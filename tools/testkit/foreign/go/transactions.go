package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func transactional(id string) *kgo.Client {
	return client(kgo.TransactionalID(name(id)), kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// transact runs one transaction of some records on partition 0.
func transact(c *kgo.Client, where string, end kgo.TransactionEndTry, texts ...string) error {
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	for _, text := range texts {
		record := &kgo.Record{Topic: where, Value: []byte(text)}
		if err := c.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	return c.EndTransaction(ctx, end)
}

// readCommitted reads what is committed on partition 0 now.
func readCommitted(where string) ([]string, error) {
	a := admin()
	defer a.Close()
	ends, err := a.ListCommittedOffsets(ctx, where)
	if err != nil {
		return nil, err
	}
	end, _ := ends.Lookup(where, 0)
	place := map[string]map[int32]kgo.Offset{where: {0: kgo.NewOffset().AtStart()}}
	c := client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumePartitions(place), kgo.KeepControlRecords())
	defer c.Close()
	var found []string
	limit := time.Now().Add(20 * time.Second)
	for next := int64(0); next < end.Offset; {
		if time.Now().After(limit) {
			return found, fmt.Errorf("at offset %d of %d", next, end.Offset)
		}
		for _, r := range c.PollFetches(ctx).Records() {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				found = append(found, string(r.Value))
			}
		}
	}
	return found, nil
}

func committedAre(where string, want ...string) error {
	found, err := readCommitted(where)
	return errors.Join(err, eq("committed", found, want))
}

func transactionCases() {
	feature("transaction: commit, abort, isolation", func() error {
		t, err := topic("txn", 1)
		if err != nil {
			return err
		}
		c := transactional("x1")
		defer c.Close()
		return errors.Join(
			transact(c, t, kgo.TryCommit, "a", "b"),
			transact(c, t, kgo.TryAbort, "c"),
			transact(c, t, kgo.TryCommit, "d"),
			committedAre(t, "a", "b", "d"),
		)
	})
	feature("transaction: a newer producer fences the old one", func() error {
		t, err := topic("fence", 1)
		if err != nil {
			return err
		}
		old, young := transactional("x2"), transactional("x2")
		defer old.Close()
		defer young.Close()
		if err := old.BeginTransaction(); err != nil {
			return err
		}
		if err := old.ProduceSync(ctx, &kgo.Record{Topic: t, Value: []byte("zombie")}).FirstErr(); err != nil {
			return err
		}
		if err := transact(young, t, kgo.TryCommit, "live"); err != nil {
			return err
		}
		if err := old.EndTransaction(ctx, kgo.TryCommit); err == nil {
			return errors.New("the old producer is not fenced")
		}
		return committedAre(t, "live")
	})
	feature("transaction: consume, transform, produce in a group session", func() error {
		from, err := topic("ctp-in", 1)
		if err != nil {
			return err
		}
		to, err := topic("ctp-out", 1)
		if err != nil {
			return err
		}
		if err := produce(numbers(from, 50)); err != nil {
			return err
		}
		session, err := kgo.NewGroupTransactSession(
			kgo.SeedBrokers(bootstrap), kgo.TransactionalID(name("x3")),
			kgo.ConsumerGroup(name("ctp")), kgo.ConsumeTopics(from), kgo.RequireStableFetchOffsets(),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchMaxBytes(500), kgo.FetchMaxPartitionBytes(500),
		)
		if err != nil {
			return err
		}
		defer session.Close()
		aborted := false
		for done := 0; done < 50; {
			records := session.PollRecords(ctx, 20).Records()
			if len(records) == 0 {
				continue
			}
			if err := session.Begin(); err != nil {
				return err
			}
			for _, r := range records {
				session.Produce(ctx, &kgo.Record{Topic: to, Value: r.Value}, nil)
			}
			// The second round is given up, and comes again.
			end := kgo.TryCommit
			if done > 0 && !aborted {
				end, aborted = kgo.TryAbort, true
			}
			committed, err := session.End(ctx, end)
			if err != nil {
				return err
			}
			if committed {
				done += len(records)
			}
		}
		return committedAre(to, values(numbers(from, 50))...)
	})
	feature("transaction: listed and described while it is open", func() error {
		t, err := topic("open", 1)
		if err != nil {
			return err
		}
		c := transactional("x4")
		defer c.Close()
		if err := c.BeginTransaction(); err != nil {
			return err
		}
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: t, Value: []byte("v")}).FirstErr(); err != nil {
			return err
		}
		a := admin()
		defer a.Close()
		described, err := a.DescribeTransactions(ctx, name("x4"))
		if err != nil {
			return err
		}
		one := described[name("x4")]
		listed, err := a.ListTransactions(ctx, nil, []string{"Ongoing"})
		if err != nil {
			return err
		}
		_, isListed := listed[name("x4")]
		return errors.Join(
			eq("state", one.State, "Ongoing"),
			eq("partitions", one.Topics, kadm.TopicsSet{t: {0: {}}}),
			eq("listed", isListed, true),
			c.EndTransaction(ctx, kgo.TryAbort),
			committedAre(t),
		)
	})
}
