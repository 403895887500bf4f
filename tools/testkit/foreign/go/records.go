package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Bytes of a batch before its first record.
const batchOverhead = 61

func varintSize(value int) int {
	size := 1
	for value <<= 1; value > 127; value >>= 7 {
		size++
	}
	return size
}

// batchSize is the size of a batch with one record without key and headers.
func batchSize(valueSize int) int {
	body := 5 + varintSize(valueSize) + valueSize
	return batchOverhead + varintSize(body) + body
}

func recordCases() {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for codec, compression := range codecs {
		feature("produce and consume with "+codec+": keys, values, offsets, order", func() error {
			t, err := topic("codec-"+codec, 1)
			if err != nil {
				return err
			}
			sent := numbers(t, 500)
			if err := produce(sent, kgo.ProducerBatchCompression(compression)); err != nil {
				return err
			}
			got, err := read(t, kgo.NewOffset().AtStart(), 500)
			if err != nil {
				return err
			}
			for i, r := range got {
				if r.Offset != int64(i) || !bytes.Equal(r.Key, sent[i].Key) || !bytes.Equal(r.Value, sent[i].Value) {
					return fmt.Errorf("record %d: %v at offset %d", i, r.Value, r.Offset)
				}
			}
			return eq("records", len(got), 500)
		})
	}
	feature("headers, tombstone, empty value, timestamp", func() error {
		t, err := topic("headers", 1)
		if err != nil {
			return err
		}
		stamp := time.UnixMilli(1700000000123)
		headers := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "n"}}
		tombstone := &kgo.Record{Topic: t, Key: []byte("k"), Headers: headers, Timestamp: stamp}
		empty := &kgo.Record{Topic: t, Value: []byte{}}
		if err := produce([]*kgo.Record{tombstone, empty}); err != nil {
			return err
		}
		got, err := read(t, kgo.NewOffset().AtStart(), 2)
		if err != nil {
			return err
		}
		return errors.Join(
			eq("headers", got[0].Headers, headers),
			eq("tombstone", []bool{got[0].Value == nil, string(got[0].Key) == "k"}, []bool{true, true}),
			eq("timestamp", got[0].Timestamp.UnixMilli(), stamp.UnixMilli()),
			eq("empty", []bool{got[1].Key == nil, got[1].Value != nil, len(got[1].Value) == 0}, []bool{true, true, true}),
		)
	})
	for _, acks := range []string{"none", "leader", "all"} {
		feature("produce with acks "+acks, func() error {
			t, err := topic("acks-"+acks, 1)
			if err != nil {
				return err
			}
			options := map[string]kgo.Opt{
				"none": kgo.RequiredAcks(kgo.NoAck()), "leader": kgo.RequiredAcks(kgo.LeaderAck()), "all": kgo.RequiredAcks(kgo.AllISRAcks()),
			}
			if err := produce(numbers(t, 10), options[acks], kgo.DisableIdempotentWrite()); err != nil {
				return err
			}
			got, err := read(t, kgo.NewOffset().AtStart(), 10)
			return errors.Join(err, eq("records", len(got), 10))
		})
	}
	feature("idempotent producer, small batches, order kept", func() error {
		t, err := topic("idempotent", 1)
		if err != nil {
			return err
		}
		if err := produce(numbers(t, 5000), kgo.ProducerBatchMaxBytes(1024)); err != nil {
			return err
		}
		got, err := read(t, kgo.NewOffset().AtStart(), 5000)
		if err != nil {
			return err
		}
		return eq("values", values(got), values(numbers(t, 5000)))
	})
	const limit = 2000
	feature("a batch of exactly max.message.bytes is stored, one byte more is refused", func() error {
		t, err := topic("limit", 1, "max.message.bytes", fmt.Sprint(limit))
		if err != nil {
			return err
		}
		size := limit - batchOverhead
		for batchSize(size) > limit {
			size--
		}
		if err := eq("batch", batchSize(size), limit); err != nil {
			return err
		}
		none := kgo.ProducerBatchCompression(kgo.NoCompression())
		value := bytes.Repeat([]byte("v"), size)
		if err := produce([]*kgo.Record{{Topic: t, Value: value}}, none); err != nil {
			return err
		}
		err = produce([]*kgo.Record{{Topic: t, Value: append(value, 'v')}}, none)
		if !errors.Is(err, kerr.MessageTooLarge) {
			return fmt.Errorf("one byte more: %v", err)
		}
		got, err := read(t, kgo.NewOffset().AtStart(), 1)
		return errors.Join(err, eq("records", len(got), 1))
	})
}
