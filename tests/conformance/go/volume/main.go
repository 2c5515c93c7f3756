// Command volume ships 2 GiB of the lines of files with franz-go, uncompressed, reads them back at the same time, and
// compares digests: one partition for each file, which it holds again and again.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	. "sendlog.test/conformance/checks"
)

const (
	volume = 2 << 30
	// Ends a run in which nothing moves any more.
	limit = 10 * time.Minute
)

type file struct {
	content []byte
	lines   [][]byte
}

func main() {
	checks := New("real logs", "(volume) by franz-go")
	files, size := readFiles(os.Args[1:])
	rounds := volume/size + 1
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	topic := Unique("real-logs-codec-none")
	checks.Run("create the topic", func() { create(ctx, topic, len(files)) })
	var read []string
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		read = consume(ctx, topic, files, rounds)
	}()
	checks.Run(fmt.Sprintf("%d MiB of lines are acknowledged", volume>>20), func() { produce(ctx, topic, files, rounds) })
	checks.Run("the same bytes come back", func() {
		if failure := <-done; failure != nil {
			panic(failure)
		}
		for i, file := range files {
			Equal(read[i], digest(file.content, rounds), "SHA-256 of "+os.Args[1+i])
		}
	})
	checks.Finish()
}

func readFiles(paths []string) ([]file, int) {
	var files []file
	size := 0
	for _, path := range paths {
		content, err := os.ReadFile(path)
		NoError(err, path)
		lines := bytes.SplitAfter(content, []byte("\n"))
		if len(lines[len(lines)-1]) == 0 {
			lines = lines[:len(lines)-1]
		}
		files = append(files, file{content, lines})
		size += len(content)
	}
	return files, size
}

func digest(content []byte, rounds int) string {
	repeated := sha256.New()
	for range rounds {
		repeated.Write(content)
	}
	return fmt.Sprintf("%x", repeated.Sum(nil))
}

func open(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(Bootstrap()))...)
	NoError(err, "client")
	return client
}

func create(ctx context.Context, topic string, partitions int) {
	client := open()
	defer client.Close()
	forever := "-1"
	configs := map[string]*string{"retention.ms": &forever}
	_, err := kadm.NewClient(client).CreateTopic(ctx, int32(partitions), 1, configs, topic)
	NoError(err, "creating the topic")
}

func produce(ctx context.Context, topic string, files []file, rounds int) {
	producer := open(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(100_000),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer producer.Close()
	var failure atomic.Value
	acknowledged := func(_ *kgo.Record, err error) {
		if err != nil {
			failure.CompareAndSwap(nil, err)
		}
	}
	for range rounds {
		for i, file := range files {
			for _, line := range file.lines {
				producer.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i), Value: line}, acknowledged)
			}
		}
		if err := failure.Load(); err != nil {
			panic(err)
		}
	}
	NoError(producer.Flush(ctx), "flushing")
	Equal(failure.Load(), nil, "failed delivery")
}

func consume(ctx context.Context, topic string, files []file, rounds int) []string {
	from := map[int32]kgo.Offset{}
	left := 0
	for i, file := range files {
		from[int32(i)] = kgo.NewOffset().AtStart()
		left += rounds * len(file.lines)
	}
	consumer := open(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	defer consumer.Close()
	next := make([]int64, len(files))
	read := make([]*bytes.Buffer, len(files))
	hashes := make([]hash.Hash, len(files))
	for i := range files {
		read[i], hashes[i] = &bytes.Buffer{}, sha256.New()
	}
	for 0 < left {
		fetches := consumer.PollFetches(ctx)
		NoError(fetches.Err(), "reading")
		fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
			p := fetched.Partition
			for _, record := range fetched.Records {
				True(record.Offset == next[p], "an offset is left out or comes twice")
				next[p]++
				read[p].Write(record.Value)
			}
			hashes[p].Write(read[p].Bytes())
			read[p].Reset()
			left -= len(fetched.Records)
		})
	}
	digests := make([]string, len(files))
	for i := range hashes {
		digests[i] = fmt.Sprintf("%x", hashes[i].Sum(nil))
	}
	return digests
}
