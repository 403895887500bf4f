package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func member(where, group string, options ...kgo.Opt) *kgo.Client {
	return client(append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(where), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond),
	}, options...)...)
}

// readForever is a group member until it is killed.
func readForever(where, group string) {
	c := member(where, group)
	for {
		c.PollFetches(ctx)
	}
}

// shares lists how many partitions each member of the group has, smallest first.
func shares(group string) string {
	a := admin()
	defer a.Close()
	described, err := a.DescribeGroups(ctx, group)
	if err != nil {
		return err.Error()
	}
	var counts []int
	for _, m := range described[group].Members {
		n := 0
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				n += len(t.Partitions)
			}
		}
		counts = append(counts, n)
	}
	sort.Ints(counts)
	return fmt.Sprint(described[group].State, counts)
}

func sharesBecome(group, want string) error {
	found := ""
	err := until("", 40*time.Second, func() bool {
		found = shares(group)
		return found == want
	})
	if err != nil {
		return fmt.Errorf("members are %s, wanted %s", found, want)
	}
	return nil
}

func groupCases() {
	feature("group: commit with metadata, leave, resume", func() error {
		t, err := topic("resume", 1)
		if err != nil {
			return err
		}
		if err := produce(numbers(t, 10)); err != nil {
			return err
		}
		g := name("resume")
		first := member(t, g)
		got, err := take(first, 10)
		if err != nil {
			return err
		}
		if err := first.CommitRecords(ctx, got[5]); err != nil {
			return err
		}
		first.Close()
		a := admin()
		defer a.Close()
		committed, err := a.FetchOffsets(ctx, g)
		if err != nil {
			return err
		}
		o, _ := committed.Lookup(t, 0)
		if err := eq("committed", o.At, int64(6)); err != nil {
			return err
		}
		second := member(t, g)
		defer second.Close()
		rest, err := take(second, 4)
		return errors.Join(err, eq("values", values(rest), []string{"6", "7", "8", "9"}))
	})
	feature("group: N partitions, N+1 members; the idle one takes over from one that is killed", func() error {
		t, err := topic("idle", 2)
		if err != nil {
			return err
		}
		g := name("idle")
		var processes []*exec.Cmd
		defer func() {
			for _, p := range processes {
				p.Process.Kill()
				p.Wait()
			}
		}()
		for range 3 {
			p := exec.Command(os.Args[0], "member", t, g)
			if err := p.Start(); err != nil {
				return err
			}
			processes = append(processes, p)
		}
		if err := sharesBecome(g, "Stable[0 1 1]"); err != nil {
			return err
		}
		// Two deaths: at least one of the two had work.
		processes[0].Process.Kill()
		if err := sharesBecome(g, "Stable[1 1]"); err != nil {
			return err
		}
		processes[1].Process.Kill()
		return sharesBecome(g, "Stable[2]")
	})
	for strategy, balancer := range map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
		"sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
	} {
		feature("group: strategy "+strategy+", a member joins and leaves", func() error {
			t, err := topic("balance-"+strategy, 4)
			if err != nil {
				return err
			}
			g := name("balance-" + strategy)
			first := member(t, g, kgo.Balancers(balancer))
			defer first.Close()
			if err := sharesBecome(g, "Stable[4]"); err != nil {
				return err
			}
			second := member(t, g, kgo.Balancers(balancer))
			if err := sharesBecome(g, "Stable[2 2]"); err != nil {
				return err
			}
			second.Close()
			return sharesBecome(g, "Stable[4]")
		})
	}
	feature("group: a static member comes back without moving partitions", func() error {
		t, err := topic("static", 2)
		if err != nil {
			return err
		}
		g := name("static")
		for range 2 {
			c := member(t, g, kgo.InstanceID("one"))
			err := sharesBecome(g, "Stable[2]")
			// A static member does not leave when it closes.
			c.Close()
			if err != nil {
				return err
			}
		}
		return sharesBecome(g, "Stable[2]")
	})
	feature("group: list, describe, delete; offsets of a removed group are gone", func() error {
		t, err := topic("lifecycle", 1)
		if err != nil {
			return err
		}
		g := name("lifecycle")
		if err := produce(numbers(t, 3)); err != nil {
			return err
		}
		c := member(t, g)
		got, err := take(c, 3)
		if err != nil {
			return err
		}
		if err := c.CommitRecords(ctx, got...); err != nil {
			return err
		}
		a := admin()
		defer a.Close()
		listed := func(states ...string) bool {
			l, err := a.ListGroups(ctx, states...)
			_, found := l[g]
			return err == nil && found
		}
		stable, empty := listed("Stable"), listed("Empty")
		lag, err := a.Lag(ctx, g)
		if err != nil {
			return err
		}
		c.Close()
		deleted, err := a.DeleteGroup(ctx, g)
		if err != nil {
			return err
		}
		return errors.Join(
			eq("listed as stable, empty", []bool{stable, empty}, []bool{true, false}),
			eq("lag", lag[g].Lag.Total(), int64(0)),
			eq("deleted", deleted.Err, nil),
			eq("listed after", listed(), false),
		)
	})
	feature("group: offsets set from outside, refused while a member is there", func() error {
		t, err := topic("outside", 1)
		if err != nil {
			return err
		}
		g := name("outside")
		a := admin()
		defer a.Close()
		set := func(at int64) error {
			offsets := kadm.Offsets{}
			offsets.AddOffset(t, 0, at, -1)
			said, err := a.CommitOffsets(ctx, g, offsets)
			if err != nil {
				return err
			}
			return said.Error()
		}
		if err := set(7); err != nil {
			return err
		}
		c := member(t, g)
		defer c.Close()
		if err := sharesBecome(g, "Stable[1]"); err != nil {
			return err
		}
		if set(3) == nil {
			return errors.New("set while a member is there")
		}
		return nil
	})
}
