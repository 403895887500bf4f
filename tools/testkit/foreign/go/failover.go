package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	failoverPartitions = 3
	failoverPause      = 5 * time.Millisecond
)

// story is what an idempotent producer and a group lived through while brokers died.
type story struct {
	topic   string
	mu      sync.Mutex
	acked   map[string][2]int64 // value to partition and offset
	refused error
	got     map[string]bool
}

// failoverCases writes and reads until the file is there, then judges.
func failoverCases(stop string) {
	s := &story{acked: map[string][2]int64{}, got: map[string]bool{}}
	began := s.live(stop)
	feature("franz-go produces and reads through failovers", func() error { return began })
	feature("franz-go: no record was refused", func() error { return s.refused })
	feature("franz-go: what was acknowledged is there once, in order, at its offset", s.judge)
	feature("franz-go: the group got every record", func() error {
		return eq("records nobody got", s.ungot(), 0)
	})
}

func (s *story) live(stop string) error {
	a := admin()
	defer a.Close()
	s.topic = name("failover")
	if _, err := a.CreateTopic(ctx, failoverPartitions, 3, nil, s.topic); err != nil {
		return err
	}
	reading, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	for range 2 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			s.read(reading)
		}()
	}
	err := s.write(stop)
	// The group reads on to the end.
	_ = until("the group's end", 30*time.Second, func() bool { return s.ungot() == 0 })
	cancel()
	readers.Wait()
	return err
}

func (s *story) write(stop string) error {
	c := client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RetryTimeout(time.Minute))
	defer c.Close()
	for number := 0; ; number++ {
		if _, err := os.Stat(stop); err == nil {
			break
		}
		value := strconv.Itoa(number)
		record := &kgo.Record{
			Topic: s.topic, Value: []byte(value), Partition: int32(number % failoverPartitions),
		}
		c.Produce(ctx, record, func(r *kgo.Record, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refused = errors.Join(s.refused, err)
			s.acked[value] = [2]int64{int64(r.Partition), r.Offset}
		})
		time.Sleep(failoverPause)
	}
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return c.Flush(limit)
}

func (s *story) read(until context.Context) {
	c := member(s.topic, s.topic)
	defer c.Close()
	for until.Err() == nil {
		fetches := c.PollFetches(until)
		s.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) { s.got[string(r.Value)] = true })
		s.mu.Unlock()
		limit, cancel := context.WithTimeout(ctx, 20*time.Second)
		_ = c.CommitUncommittedOffsets(limit)
		cancel()
	}
}

func (s *story) ungot() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	missing := 0
	for value := range s.acked {
		if !s.got[value] {
			missing++
		}
	}
	return missing
}

// judge reads the topic whole.
func (s *story) judge() error {
	places := map[int32]kgo.Offset{}
	for p := range int32(failoverPartitions) {
		places[p] = kgo.NewOffset().AtStart()
	}
	c := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: places}))
	defer c.Close()
	if len(s.acked) < 100 {
		return fmt.Errorf("only %d records were acknowledged", len(s.acked))
	}
	records, err := take(c, len(s.acked))
	if err != nil {
		return err
	}
	last := map[int32]int{}
	seen := map[string]bool{}
	for _, r := range records {
		value := string(r.Value)
		number, err := strconv.Atoi(value)
		if err != nil || seen[value] || number < last[r.Partition] {
			return fmt.Errorf("%q at %d:%d is strange, doubled or out of order", value, r.Partition, r.Offset)
		}
		seen[value], last[r.Partition] = true, number
		if want := [2]int64{int64(r.Partition), r.Offset}; s.acked[value] != want {
			return fmt.Errorf("%q is at %v and was acknowledged at %v", value, want, s.acked[value])
		}
	}
	return nil
}
