// Command franzgo checks franz-go (kgo and kadm), default settings apart from the address.
package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	. "sendlog.test/conformance/checks"
)

const limit = 30 * time.Second

type suite struct {
	client *kgo.Client
	admin  *kadm.Client
	plain  string
	wide   string
}

var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()},
	{"gzip", kgo.GzipCompression()},
	{"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()},
	{"zstd", kgo.ZstdCompression()},
}

func main() {
	checks := New("franz-go", version("github.com/twmb/franz-go"))
	client := open()
	s := &suite{client, kadm.NewClient(client), Unique("franz-go"), Unique("franz-go-wide")}
	checks.Run("describe cluster", s.cluster)
	checks.Run("create and describe topics", s.createTopics)
	checks.Run("create topics: existing and invalid", s.badTopics)
	for _, c := range codecs {
		checks.Run("round trip, offsets and times: "+c.name, func() { s.roundTrip(c.name, kgo.ProducerBatchCompression(c.codec)) })
	}
	checks.Run("producer with default settings", s.defaults)
	checks.Run("acks 0, 1 and all", s.acknowledgements)
	checks.Run("several partitions at once", s.partitions)
	checks.Run("list offsets", s.listOffsets)
	checks.Run("offset for leader epoch", s.leaderEpoch)
	checks.Run("describe and alter configs", s.configs)
	checks.Run("describe log dirs", s.logDirs)
	checks.Run("describe producers", s.producers)
	checks.Run("create partitions", s.createPartitions)
	checks.Run("delete records, offset out of range", s.deleteRecords)
	checks.Run("oversized record", s.oversized)
	checks.Run("unknown topic", s.unknownTopic)
	checks.Run("topic made by producing to it", s.autoCreate)
	checks.Run("a topic made again has another id", s.topicIDs)
	checks.Run("delete topics", s.deleteTopics)
	client.Close()
	checks.Finish()
}

func version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version
			}
		}
	}
	return "unknown"
}

func open(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(Bootstrap())}, options...)...)
	NoError(err, "client")
	return client
}

func bounded() context.Context {
	// The program ends soon after, so nothing is left behind by not cancelling.
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	_ = cancel
	return ctx
}

func is(expected error) func(error) bool {
	return func(err error) bool { return errors.Is(err, expected) }
}

func text(value string) *string { return &value }

func (s *suite) tryCreate(name string, partitions int32, configs map[string]*string) error {
	all := map[string]*string{"retention.ms": text("-1")}
	for key, value := range configs {
		all[key] = value
	}
	_, err := s.admin.CreateTopic(bounded(), partitions, 1, all, name)
	return err
}

func (s *suite) create(name string, partitions int32, configs map[string]*string) {
	NoError(s.tryCreate(name, partitions, configs), "creating "+name)
	Eventually(func() { Equal(len(s.describe(name).Partitions), int(partitions), "partitions") })
}

// With a client of its own, because this one keeps what it knows of a topic for some seconds.
func (s *suite) describe(name string) kadm.TopicDetail {
	client := open()
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(bounded(), name)
	NoError(err, "listing topics")
	NoError(topics[name].Err, "describing "+name)
	return topics[name]
}

func (s *suite) cluster() {
	cluster, err := s.admin.BrokerMetadata(bounded())
	NoError(err, "metadata")
	Equal(len(cluster.Brokers), 1, "number of brokers")
	broker := cluster.Brokers[0]
	Equal(fmt.Sprintf("%s:%d", broker.Host, broker.Port), Bootstrap(), "advertised address")
	True(cluster.Cluster != "", "no cluster id")
	Equal(cluster.Controller, broker.NodeID, "controller")
}

func (s *suite) createTopics() {
	s.create(s.plain, 1, nil)
	s.create(s.wide, 4, map[string]*string{"max.message.bytes": text("200000")})
	topic := s.describe(s.wide)
	True(topic.ID != kadm.TopicID{}, "no topic id")
	for _, partition := range topic.Partitions.Sorted() {
		Equal(partition.ISR, []int32{partition.Leader}, "in-sync replicas")
	}
	created, err := s.admin.CreateTopic(bounded(), -1, -1, nil, Unique("franz-go-defaults"))
	NoError(err, "creating with defaults")
	Equal(created.NumPartitions, int32(1), "partitions by default")
	Equal(created.ReplicationFactor, int16(1), "replication factor by default")
	True(0 < len(created.Configs), "no configs of the new topic")
}

func (s *suite) badTopics() {
	IsError(s.tryCreate(s.plain, 1, nil), is(kerr.TopicAlreadyExists), "creating it again")
	IsError(s.tryCreate("a/b", 1, nil), is(kerr.InvalidTopicException), "name a/b")
	IsError(s.tryCreate(Unique("p"), 0, nil), is(kerr.InvalidPartitions), "no partitions")
	soon := map[string]*string{"retention.ms": text("soon")}
	IsError(s.tryCreate(Unique("c"), 1, soon), is(kerr.InvalidConfig), "retention.ms=soon")
}

func record(topic string, partition int32, sample Sample) *kgo.Record {
	r := &kgo.Record{
		Topic: topic, Partition: partition, Key: sample.Key, Value: sample.Value,
		Timestamp: time.UnixMilli(sample.Timestamp),
	}
	for _, header := range sample.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
	}
	return r
}

func asSample(r *kgo.Record) Sample {
	Equal(r.Attrs.TimestampType(), int8(0), "timestamp type")
	sample := Sample{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli()}
	for _, header := range r.Headers {
		sample.Headers = append(sample.Headers, Header{Key: header.Key, Value: header.Value})
	}
	return sample
}

func tryProduce(topic string, partition int32, samples []Sample, options ...kgo.Opt) ([]*kgo.Record, error) {
	options = append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)
	producer := open(options...)
	defer producer.Close()
	var placed []*kgo.Record
	for start := 0; start < len(samples); start += Count / 2 {
		var records []*kgo.Record
		for _, sample := range samples[start:min(start+Count/2, len(samples))] {
			records = append(records, record(topic, partition, sample))
		}
		results := producer.ProduceSync(bounded(), records...)
		if err := results.FirstErr(); err != nil {
			return nil, err
		}
		placed = append(placed, records...)
	}
	return placed, nil
}

func produce(topic string, partition int32, samples []Sample, options ...kgo.Opt) []*kgo.Record {
	placed, err := tryProduce(topic, partition, samples, options...)
	NoError(err, "producing")
	return placed
}

func tryRead(count int, from map[string]map[int32]kgo.Offset, options ...kgo.Opt) ([]*kgo.Record, error) {
	consumer := open(append([]kgo.Opt{kgo.ConsumePartitions(from)}, options...)...)
	defer consumer.Close()
	var records []*kgo.Record
	for len(records) < count {
		fetches := consumer.PollFetches(bounded())
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

func read(topic string, partition int32, offset kgo.Offset, count int) []*kgo.Record {
	records, err := tryRead(count, map[string]map[int32]kgo.Offset{topic: {partition: offset}})
	NoError(err, "reading")
	return records
}

func (s *suite) roundTrip(codec string, options ...kgo.Opt) {
	topic := Unique("franz-go-codec-" + codec)
	s.create(topic, 1, nil)
	expected := Samples(codec)
	for i, placed := range produce(topic, 0, expected, options...) {
		Equal(placed.Offset, int64(i), "offset of a produced record")
	}
	for i, r := range read(topic, 0, kgo.NewOffset().AtStart(), Count) {
		Equal(r.Offset, int64(i), "offset")
		expected[i].Same(asSample(r), fmt.Sprintf("record %d", i))
	}
	for _, offset := range []int{1, 17, Count/2 + 5, Count - 1} {
		r := read(topic, 0, kgo.NewOffset().At(int64(offset)), 1)[0]
		Equal(r.Offset, int64(offset), "offset")
		expected[offset].Same(asSample(r), fmt.Sprintf("record %d", offset))
	}
	s.times(topic)
	at := FirstTimestamp + 42*TimestampStep
	Equal(read(topic, 0, kgo.NewOffset().AfterMilli(at), 1)[0].Offset, int64(42), "first offset read from a time")
}

func (s *suite) times(topic string) {
	lookUp := func(timestamp int64) kadm.ListedOffset {
		listed, err := s.admin.ListOffsetsAfterMilli(bounded(), timestamp, topic)
		NoError(err, "listing offsets")
		offset, found := listed.Lookup(topic, 0)
		True(found, "no offset listed")
		NoError(offset.Err, "listing offsets")
		return offset
	}
	for _, i := range []int64{0, 1, 29, 42, Count - 1} {
		at := FirstTimestamp + i*TimestampStep
		for _, timestamp := range []int64{at, at - 1} {
			found := lookUp(timestamp)
			Equal(found.Offset, i, "offset for a time")
			Equal(found.Timestamp, at, "timestamp for a time")
		}
	}
	// The client turns "no such record" into the end offset.
	Equal(lookUp(FirstTimestamp+Count*TimestampStep).Offset, int64(Count), "offset for a later time")
}

func (s *suite) defaults() {
	topic := Unique("franz-go-keyed")
	s.create(topic, 3, nil)
	producer := open()
	defer producer.Close()
	for i := range 90 {
		r := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i%9), Value: fmt.Appendf(nil, "%d", i)}
		producer.Produce(bounded(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				fmt.Println("FAIL producer with default settings:", err)
			}
		})
	}
	NoError(producer.Flush(bounded()), "flushing")
	ends, err := s.admin.ListEndOffsets(bounded(), topic)
	NoError(err, "listing offsets")
	sum := int64(0)
	ends.Each(func(end kadm.ListedOffset) { sum += end.Offset })
	Equal(sum, int64(90), "records in all partitions")
}

func (s *suite) acknowledgements() {
	for name, acks := range map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()} {
		topic := Unique("franz-go-acks-" + name)
		s.create(topic, 1, nil)
		samples := Samples("acks " + name)
		produce(topic, 0, samples, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
		for i, r := range read(topic, 0, kgo.NewOffset().AtStart(), Count) {
			samples[i].Same(asSample(r), fmt.Sprintf("record %d with acks=%s", i, name))
		}
	}
}

func (s *suite) partitions() {
	from := map[int32]kgo.Offset{}
	for p := range int32(4) {
		produce(s.wide, p, Samples(fmt.Sprintf("partition %d", p))[:10+p])
		from[p] = kgo.NewOffset().AtStart()
	}
	records, err := tryRead(46, map[string]map[int32]kgo.Offset{s.wide: from})
	NoError(err, "reading")
	seen := map[int32]int{}
	for _, r := range records {
		expected := Samples(fmt.Sprintf("partition %d", r.Partition))
		expected[seen[r.Partition]].Same(asSample(r), fmt.Sprintf("record %d of partition %d", seen[r.Partition], r.Partition))
		seen[r.Partition]++
	}
	Equal(seen, map[int32]int{0: 10, 1: 11, 2: 12, 3: 13}, "records by partition")
}

func (s *suite) listOffsets() {
	check := func(listed kadm.ListedOffsets, err error, offset int64, what string) kadm.ListedOffset {
		NoError(err, what)
		found, ok := listed.Lookup(s.wide, 3)
		True(ok, "no offset listed")
		NoError(found.Err, what)
		Equal(found.Offset, offset, what)
		return found
	}
	ctx := bounded()
	listed, err := s.admin.ListStartOffsets(ctx, s.wide)
	check(listed, err, 0, "start offset")
	listed, err = s.admin.ListEndOffsets(ctx, s.wide)
	check(listed, err, 13, "end offset")
	listed, err = s.admin.ListCommittedOffsets(ctx, s.wide)
	check(listed, err, 13, "last stable offset")
	listed, err = s.admin.ListMaxTimestampOffsets(ctx, s.wide)
	Equal(check(listed, err, 12, "offset of the highest timestamp").Timestamp, FirstTimestamp+12_000, "highest timestamp")
	listed, err = s.admin.ListLocalLogStartOffsets(ctx, s.wide)
	check(listed, err, 0, "local start offset")
}

func (s *suite) leaderEpoch() {
	request := kadm.OffsetForLeaderEpochRequest{}
	epoch := s.describe(s.wide).Partitions[3].LeaderEpoch
	request.Add(s.wide, 3, epoch)
	ends, err := s.admin.OffsetForLeaderEpoch(bounded(), request)
	NoError(err, "offset for leader epoch")
	end := ends[s.wide][3]
	NoError(end.Err, "offset for leader epoch")
	Equal(end.EndOffset, int64(13), "end offset of the epoch")
	Equal(end.LeaderEpoch, epoch, "leader epoch")
}

func (s *suite) config(name string) *kadm.Config {
	resources, err := s.admin.DescribeTopicConfigs(bounded(), s.wide)
	NoError(err, "describing configs")
	resource, err := resources.On(s.wide, nil)
	NoError(err, "configs of the topic")
	NoError(resource.Err, "configs of the topic")
	for _, config := range resource.Configs {
		if config.Key == name {
			return &config
		}
	}
	panic("no config " + name)
}

func (s *suite) configs() {
	Equal(s.config("max.message.bytes").MaybeValue(), "200000", "max.message.bytes")
	Equal(s.config("max.message.bytes").Source.String(), "DYNAMIC_TOPIC_CONFIG", "its source")
	Equal(s.config("cleanup.policy").Source.String(), "DEFAULT_CONFIG", "source of cleanup.policy")
	alter := func(change kadm.AlterConfig) error {
		altered, err := s.admin.AlterTopicConfigs(bounded(), []kadm.AlterConfig{change}, s.wide)
		NoError(err, "altering configs")
		_, err = altered.On(s.wide, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		return err
	}
	NoError(alter(kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.bytes", Value: text("123456789")}), "setting")
	Eventually(func() { Equal(s.config("retention.bytes").MaybeValue(), "123456789", "retention.bytes") })
	NoError(alter(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "retention.bytes"}), "deleting")
	Eventually(func() { Equal(s.config("retention.bytes").MaybeValue(), "-1", "retention.bytes") })
	bad := kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: text("soon")}
	IsError(alter(bad), is(kerr.InvalidConfig), "retention.ms=soon")
	Equal(s.config("max.message.bytes").MaybeValue(), "200000", "max.message.bytes after the changes")
	cluster, err := s.admin.BrokerMetadata(bounded())
	NoError(err, "metadata")
	brokers, err := s.admin.DescribeBrokerConfigs(bounded(), cluster.Brokers[0].NodeID)
	NoError(err, "describing broker configs")
	True(len(brokers) == 1 && 10 < len(brokers[0].Configs), "hardly any broker config")
}

func (s *suite) logDirs() {
	dirs, err := s.admin.DescribeAllLogDirs(bounded(), kadm.TopicsSet{s.wide: {3: struct{}{}}})
	NoError(err, "describing log dirs")
	found := 0
	dirs.Each(func(dir kadm.DescribedLogDir) {
		NoError(dir.Err, "log dir")
		dir.Topics.Each(func(partition kadm.DescribedLogDirPartition) {
			Equal(partition.Partition, int32(3), "partition")
			True(0 < partition.Size, "an empty partition")
			found++
		})
	})
	Equal(found, 1, "partitions in log dirs")
}

func (s *suite) producers() {
	described, err := s.admin.DescribeProducers(bounded(), kadm.TopicsSet{s.wide: {3: struct{}{}}})
	NoError(err, "describing producers")
	partition := described[s.wide].Partitions[3]
	NoError(partition.Err, "describing producers")
	Equal(len(partition.ActiveProducers), 1, "active producers")
	for _, producer := range partition.ActiveProducers {
		Equal(producer.LastSequence, int32(12), "last sequence")
	}
}

func (s *suite) createPartitions() {
	set := func(count int) error {
		updated, err := s.admin.UpdatePartitions(bounded(), count, s.wide)
		NoError(err, "creating partitions")
		return updated[s.wide].Err
	}
	NoError(set(6), "six partitions")
	Eventually(func() { Equal(len(s.describe(s.wide).Partitions), 6, "partitions") })
	IsError(set(2), is(kerr.InvalidPartitions), "fewer partitions")
}

func (s *suite) deleteRecords() {
	before := func(offset int64) kadm.DeleteRecordsResponse {
		offsets := kadm.Offsets{}
		offsets.AddOffset(s.wide, 3, offset, -1)
		deleted, err := s.admin.DeleteRecords(bounded(), offsets)
		NoError(err, "deleting records")
		return deleted[s.wide][3]
	}
	deleted := before(7)
	NoError(deleted.Err, "deleting records")
	Equal(deleted.LowWatermark, int64(7), "low watermark")
	IsError(before(1000).Err, is(kerr.OffsetOutOfRange), "deleting beyond the end")
	for i, r := range read(s.wide, 3, kgo.NewOffset().AtStart(), 6) {
		Equal(r.Offset, int64(7+i), "offset")
	}
	from := map[string]map[int32]kgo.Offset{s.wide: {3: kgo.NewOffset().At(2)}}
	_, err := tryRead(1, from, kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	IsError(err, is(kerr.OffsetOutOfRange), "reading below the log start")
	records, err := tryRead(1, from, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	NoError(err, "reading with a reset")
	Equal(records[0].Offset, int64(7), "offset after the reset")
}

func (s *suite) oversized() {
	big := []Sample{{Value: make([]byte, 300_000), Timestamp: FirstTimestamp}}
	uncompressed := kgo.ProducerBatchCompression(kgo.NoCompression())
	_, err := tryProduce(s.wide, 0, big, uncompressed)
	IsError(err, is(kerr.MessageTooLarge), "a record above max.message.bytes")
}

func (s *suite) unknownTopic() {
	absent := Unique("franz-go-absent")
	deleted, err := s.admin.DeleteTopics(bounded(), absent)
	NoError(err, "deleting topics")
	IsError(deleted[absent].Err, is(kerr.UnknownTopicOrPartition), "deleting an unknown topic")
	topics, err := s.admin.ListTopics(bounded(), absent)
	NoError(err, "listing topics")
	IsError(topics[absent].Err, is(kerr.UnknownTopicOrPartition), "describing an unknown topic")
	// This client asks for topics to be made only when told so.
	_, err = tryProduce(absent, 0, Samples("x")[:1], kgo.UnknownTopicRetries(1))
	IsError(err, is(kerr.UnknownTopicOrPartition), "producing to an unknown topic")
}

func (s *suite) autoCreate() {
	topic := Unique("franz-go-auto")
	samples := Samples("auto")[:5]
	produce(topic, 0, samples, kgo.AllowAutoTopicCreation())
	for i, r := range read(topic, 0, kgo.NewOffset().AtStart(), 5) {
		samples[i].Same(asSample(r), fmt.Sprintf("record %d", i))
	}
}

func (s *suite) topicIDs() {
	topic := Unique("franz-go-again")
	s.create(topic, 1, nil)
	produce(topic, 0, Samples("first")[:5])
	first := s.describe(topic).ID
	_, err := s.admin.DeleteTopic(bounded(), topic)
	NoError(err, "deleting")
	Eventually(func() { NoError(s.tryCreate(topic, 1, nil), "creating it again") })
	Eventually(func() { True(s.describe(topic).ID != first, "the same topic id") })
	samples := Samples("second")[:5]
	for i, placed := range produce(topic, 0, samples) {
		Equal(placed.Offset, int64(i), "offset in the new topic")
	}
	for i, r := range read(topic, 0, kgo.NewOffset().AtStart(), 5) {
		samples[i].Same(asSample(r), fmt.Sprintf("record %d", i))
	}
}

func (s *suite) deleteTopics() {
	_, err := s.admin.DeleteTopic(bounded(), s.plain)
	NoError(err, "deleting")
	Eventually(func() {
		topics, err := s.admin.ListTopics(bounded())
		NoError(err, "listing topics")
		True(!topics.Has(s.plain), "the topic is still listed")
	})
}
