package main

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func stamped(where string, count int) []*kgo.Record {
	records := numbers(where, count)
	for i, r := range records {
		r.Timestamp = time.UnixMilli(1700000000000 + int64(i)*1000)
	}
	return records
}

func readCases() {
	feature("read from an offset, from the end, from a time", func() error {
		t, err := topic("seek", 1)
		if err != nil {
			return err
		}
		if err := produce(stamped(t, 10)); err != nil {
			return err
		}
		first := func(from kgo.Offset) string {
			got, err := read(t, from, 1)
			if err != nil {
				return err.Error()
			}
			return string(got[0].Value)
		}
		return errors.Join(
			eq("offset 7", first(kgo.NewOffset().At(7)), "7"),
			eq("two before the end", first(kgo.NewOffset().AtEnd().Relative(-2)), "8"),
			eq("after a time", first(kgo.NewOffset().AfterMilli(1700000003500)), "4"),
		)
	})
	feature("listed offsets: start, end, at a time, at the largest time", func() error {
		t, err := topic("listed", 1)
		if err != nil {
			return err
		}
		if err := produce(stamped(t, 10)); err != nil {
			return err
		}
		a := admin()
		defer a.Close()
		start, err1 := a.ListStartOffsets(ctx, t)
		end, err2 := a.ListEndOffsets(ctx, t)
		after, err3 := a.ListOffsetsAfterMilli(ctx, 1700000003500, t)
		largest, err4 := a.ListMaxTimestampOffsets(ctx, t)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return err
		}
		at := func(l kadm.ListedOffsets) int64 {
			o, _ := l.Lookup(t, 0)
			return o.Offset
		}
		found := []int64{at(start), at(end), at(after), at(largest)}
		return eq("offsets", found, []int64{0, 10, 4, 9})
	})
	feature("an offset out of range goes on where the client says", func() error {
		t, err := topic("range", 1)
		if err != nil {
			return err
		}
		if err := produce(numbers(t, 3)); err != nil {
			return err
		}
		reset := kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())
		got, err := read(t, kgo.NewOffset().At(500), 3, reset)
		return errors.Join(err, eq("values", values(got), []string{"0", "1", "2"}))
	})
	feature("an offset out of range is an error when nothing says where to go on", func() error {
		t, err := topic("range-none", 1)
		if err != nil {
			return err
		}
		if err := produce(numbers(t, 3)); err != nil {
			return err
		}
		_, err = read(t, kgo.NewOffset().At(500), 1, kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		if errors.Is(err, kerr.OffsetOutOfRange) {
			return nil
		}
		return eq("error", err, kerr.OffsetOutOfRange)
	})
	feature("deleted records are gone, the rest is read", func() error {
		t, err := topic("deleted", 1)
		if err != nil {
			return err
		}
		if err := produce(numbers(t, 10)); err != nil {
			return err
		}
		a := admin()
		defer a.Close()
		upTo := kadm.Offsets{}
		upTo.AddOffset(t, 0, 6, -1)
		if _, err := a.DeleteRecords(ctx, upTo); err != nil {
			return err
		}
		got, err := read(t, kgo.NewOffset().AtStart(), 4)
		return errors.Join(err, eq("values", values(got), []string{"6", "7", "8", "9"}))
	})
}
