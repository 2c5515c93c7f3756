// Command sarama checks Sarama, default settings apart from the address and what producing synchronously needs.
package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/IBM/sarama"

	. "sendlog.test/conformance/checks"
)

const limit = 30 * time.Second

type suite struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
	plain  string
	wide   string
}

var codecs = []sarama.CompressionCodec{
	sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
}

func main() {
	checks := New("sarama", version("github.com/IBM/sarama"))
	client, err := sarama.NewClient([]string{Bootstrap()}, config())
	NoError(err, "client")
	admin, err := sarama.NewClusterAdmin([]string{Bootstrap()}, config())
	NoError(err, "admin client")
	s := &suite{client, admin, Unique("sarama"), Unique("sarama-wide")}
	checks.Run("describe cluster", s.cluster)
	checks.Run("create and describe topics", s.createTopics)
	checks.Run("create topics: existing and invalid", s.badTopics)
	for _, codec := range codecs {
		checks.Run("round trip, offsets and times: "+codec.String(), func() { s.roundTrip(codec) })
	}
	checks.Run("idempotent producer", s.idempotent)
	checks.Run("acks 0, 1 and all", s.acknowledgements)
	checks.Run("several partitions at once", s.partitions)
	checks.Run("list offsets", s.listOffsets)
	checks.Run("describe and alter configs", s.configs)
	checks.Run("describe log dirs", s.logDirs)
	checks.Run("create partitions", s.createPartitions)
	checks.Run("delete records, offset out of range", s.deleteRecords)
	checks.Run("oversized record", s.oversized)
	checks.Run("unknown topic", s.unknownTopic)
	checks.Run("topic made by producing to it", s.autoCreate)
	checks.Run("delete topics", s.deleteTopics)
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

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config
}

func is(expected sarama.KError) func(error) bool {
	return func(err error) bool {
		var topic *sarama.TopicError
		if errors.As(err, &topic) && topic.Err == expected {
			return true
		}
		var partition *sarama.TopicPartitionError
		if errors.As(err, &partition) && partition.Err == expected {
			return true
		}
		return errors.Is(err, expected)
	}
}

func text(value string) *string { return &value }

func (s *suite) tryCreate(name string, partitions int32, configs map[string]*string) error {
	all := map[string]*string{"retention.ms": text("-1")}
	for key, value := range configs {
		all[key] = value
	}
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: all}
	return s.admin.CreateTopic(name, detail, false)
}

func (s *suite) create(name string, partitions int32, configs map[string]*string) {
	NoError(s.tryCreate(name, partitions, configs), "creating "+name)
	Eventually(func() { Equal(len(s.describe(name).Partitions), int(partitions), "partitions") })
}

func (s *suite) describe(name string) *sarama.TopicMetadata {
	topics, err := s.admin.DescribeTopics([]string{name})
	NoError(err, "describing topics")
	Equal(len(topics), 1, "described topics")
	Equal(topics[0].Err, sarama.ErrNoError, "error of the topic")
	return topics[0]
}

func (s *suite) cluster() {
	brokers, controller, err := s.admin.DescribeCluster()
	NoError(err, "describing the cluster")
	Equal(len(brokers), 1, "number of brokers")
	Equal(brokers[0].Addr(), Bootstrap(), "advertised address")
	Equal(brokers[0].ID(), controller, "controller")
}

func (s *suite) createTopics() {
	s.create(s.plain, 1, nil)
	s.create(s.wide, 4, map[string]*string{"max.message.bytes": text("200000")})
	for _, partition := range s.describe(s.wide).Partitions {
		Equal(partition.Isr, []int32{partition.Leader}, "in-sync replicas")
	}
	Eventually(func() {
		topics, err := s.admin.ListTopics()
		NoError(err, "listing topics")
		listed, found := topics[s.wide]
		True(found, "the topic is not listed")
		Equal(*listed.ConfigEntries["max.message.bytes"], "200000", "max.message.bytes as listed")
	})
	NoError(s.admin.CreateTopic(Unique("v"), &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, true), "validating")
}

func (s *suite) badTopics() {
	IsError(s.tryCreate(s.plain, 1, nil), is(sarama.ErrTopicAlreadyExists), "creating it again")
	IsError(s.tryCreate("a/b", 1, nil), is(sarama.ErrInvalidTopic), "name a/b")
	IsError(s.tryCreate(Unique("p"), 0, nil), is(sarama.ErrInvalidPartitions), "no partitions")
	soon := map[string]*string{"retention.ms": text("soon")}
	IsError(s.tryCreate(Unique("c"), 1, soon), is(sarama.ErrInvalidConfig), "retention.ms=soon")
}

// No encoder is null on the wire.
func encoder(bytes []byte) sarama.Encoder {
	if bytes == nil {
		return nil
	}
	return sarama.ByteEncoder(bytes)
}

func message(topic string, partition int32, sample Sample) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{
		Topic: topic, Partition: partition, Timestamp: time.UnixMilli(sample.Timestamp),
		Key: encoder(sample.Key), Value: encoder(sample.Value),
	}
	for _, header := range sample.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
	}
	return m
}

func asSample(m *sarama.ConsumerMessage) Sample {
	sample := Sample{Key: m.Key, Value: m.Value, Timestamp: m.Timestamp.UnixMilli()}
	for _, header := range m.Headers {
		sample.Headers = append(sample.Headers, Header{Key: string(header.Key), Value: header.Value})
	}
	return sample
}

func tryProduce(topic string, partition int32, samples []Sample, config *sarama.Config) ([]*sarama.ProducerMessage, error) {
	producer, err := sarama.NewSyncProducer([]string{Bootstrap()}, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	var placed []*sarama.ProducerMessage
	for start := 0; start < len(samples); start += Count / 2 {
		var messages []*sarama.ProducerMessage
		for _, sample := range samples[start:min(start+Count/2, len(samples))] {
			messages = append(messages, message(topic, partition, sample))
		}
		if err := producer.SendMessages(messages); err != nil {
			var failed sarama.ProducerErrors
			if errors.As(err, &failed) && 0 < len(failed) {
				return nil, failed[0].Err
			}
			return nil, err
		}
		placed = append(placed, messages...)
	}
	return placed, nil
}

func produce(topic string, partition int32, samples []Sample, config *sarama.Config) []*sarama.ProducerMessage {
	placed, err := tryProduce(topic, partition, samples, config)
	NoError(err, "producing")
	return placed
}

func (s *suite) read(topic string, partition int32, offset int64, count int) []*sarama.ConsumerMessage {
	consumer, err := sarama.NewConsumerFromClient(s.client)
	NoError(err, "consumer")
	reader, err := consumer.ConsumePartition(topic, partition, offset)
	NoError(err, "reading")
	defer reader.Close()
	var messages []*sarama.ConsumerMessage
	timeout := time.After(limit)
	for len(messages) < count {
		select {
		case m := <-reader.Messages():
			messages = append(messages, m)
		case <-timeout:
			panic(fmt.Sprintf("nothing came after %d messages", len(messages)))
		}
	}
	return messages
}

func compressed(codec sarama.CompressionCodec) *sarama.Config {
	config := config()
	config.Producer.Compression = codec
	return config
}

func (s *suite) roundTrip(codec sarama.CompressionCodec) {
	topic := Unique("sarama-codec-" + codec.String())
	s.create(topic, 1, nil)
	expected := Samples(codec.String())
	for i, placed := range produce(topic, 0, expected, compressed(codec)) {
		Equal(placed.Offset, int64(i), "offset of a produced message")
	}
	for i, m := range s.read(topic, 0, sarama.OffsetOldest, Count) {
		Equal(m.Offset, int64(i), "offset")
		expected[i].Same(asSample(m), fmt.Sprintf("record %d", i))
	}
	for _, offset := range []int{1, 17, Count/2 + 5, Count - 1} {
		m := s.read(topic, 0, int64(offset), 1)[0]
		Equal(m.Offset, int64(offset), "offset")
		expected[offset].Same(asSample(m), fmt.Sprintf("record %d", offset))
	}
	for _, i := range []int64{0, 1, 29, 42, Count - 1} {
		at := FirstTimestamp + i*TimestampStep
		Equal(s.offset(topic, 0, at), i, "offset for a time")
		Equal(s.offset(topic, 0, at-1), i, "offset for the time just before")
	}
	Equal(s.offset(topic, 0, FirstTimestamp+Count*TimestampStep), int64(-1), "offset for a later time")
}

func (s *suite) offset(topic string, partition int32, time int64) int64 {
	offset, err := s.client.GetOffset(topic, partition, time)
	NoError(err, "offset")
	return offset
}

func (s *suite) idempotent() {
	topic := Unique("sarama-idempotent")
	s.create(topic, 1, nil)
	config := config()
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Net.MaxOpenRequests = 1
	samples := Samples("idempotent")
	produce(topic, 0, samples, config)
	for i, m := range s.read(topic, 0, sarama.OffsetOldest, Count) {
		samples[i].Same(asSample(m), fmt.Sprintf("record %d", i))
	}
	Equal(s.offset(topic, 0, sarama.OffsetNewest), int64(Count), "end offset")
}

func (s *suite) acknowledgements() {
	for _, acks := range []sarama.RequiredAcks{sarama.NoResponse, sarama.WaitForLocal, sarama.WaitForAll} {
		topic := Unique(fmt.Sprintf("sarama-acks%d", acks))
		s.create(topic, 1, nil)
		config := config()
		config.Producer.RequiredAcks = acks
		samples := Samples("acks")
		produce(topic, 0, samples, config)
		for i, m := range s.read(topic, 0, sarama.OffsetOldest, Count) {
			samples[i].Same(asSample(m), fmt.Sprintf("record %d with acks=%d", i, acks))
		}
	}
}

func (s *suite) partitions() {
	for p := range int32(4) {
		produce(s.wide, p, Samples(fmt.Sprintf("partition %d", p))[:10+p], config())
	}
	for p := range int32(4) {
		expected := Samples(fmt.Sprintf("partition %d", p))
		for i, m := range s.read(s.wide, p, sarama.OffsetOldest, int(10+p)) {
			expected[i].Same(asSample(m), fmt.Sprintf("record %d of partition %d", i, p))
		}
	}
}

func (s *suite) listOffsets() {
	Equal(s.offset(s.wide, 3, sarama.OffsetOldest), int64(0), "oldest offset")
	Equal(s.offset(s.wide, 3, sarama.OffsetNewest), int64(13), "newest offset")
}

func (s *suite) config(name string) sarama.ConfigEntry {
	entries, err := s.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: s.wide})
	NoError(err, "describing configs")
	for _, entry := range entries {
		if entry.Name == name {
			return entry
		}
	}
	panic("no config " + name)
}

func (s *suite) configs() {
	Equal(s.config("max.message.bytes").Value, "200000", "max.message.bytes")
	Equal(s.config("cleanup.policy").Default, true, "cleanup.policy by default")
	// This call replaces all of a topic's settings.
	all := map[string]*string{"max.message.bytes": text("200000"), "retention.ms": text("-1"), "retention.bytes": text("123")}
	NoError(s.admin.AlterConfig(sarama.TopicResource, s.wide, all, false), "altering")
	Eventually(func() { Equal(s.config("retention.bytes").Value, "123", "retention.bytes") })
	change := func(operation sarama.IncrementalAlterConfigsOperation, value *string) error {
		entry := sarama.IncrementalAlterConfigsEntry{Operation: operation, Value: value}
		entries := map[string]sarama.IncrementalAlterConfigsEntry{"retention.bytes": entry}
		return s.admin.IncrementalAlterConfig(sarama.TopicResource, s.wide, entries, false)
	}
	NoError(change(sarama.IncrementalAlterConfigsOperationSet, text("456")), "setting")
	Eventually(func() { Equal(s.config("retention.bytes").Value, "456", "retention.bytes") })
	NoError(change(sarama.IncrementalAlterConfigsOperationDelete, nil), "deleting")
	Eventually(func() { Equal(s.config("retention.bytes").Value, "-1", "retention.bytes") })
	True(change(sarama.IncrementalAlterConfigsOperationSet, text("many")) != nil, "retention.bytes=many is accepted")
	Equal(s.config("max.message.bytes").Value, "200000", "max.message.bytes after the changes")
}

func (s *suite) logDirs() {
	brokers, controller, err := s.admin.DescribeCluster()
	NoError(err, "describing the cluster")
	dirs, err := s.admin.DescribeLogDirs([]int32{controller})
	NoError(err, "describing log dirs")
	Equal(len(dirs), len(brokers), "brokers with log dirs")
	True(0 < len(dirs[controller]), "no log dir")
	found := false
	for _, dir := range dirs[controller] {
		Equal(dir.ErrorCode, sarama.ErrNoError, "error of the log dir")
		for _, topic := range dir.Topics {
			found = found || topic.Topic == s.wide
		}
	}
	True(found, "the topic is in no log dir")
}

func (s *suite) createPartitions() {
	NoError(s.admin.CreatePartitions(s.wide, 6, nil, false), "six partitions")
	Eventually(func() { Equal(len(s.describe(s.wide).Partitions), 6, "partitions") })
	IsError(s.admin.CreatePartitions(s.wide, 2, nil, false), is(sarama.ErrInvalidPartitions), "fewer partitions")
}

func (s *suite) deleteRecords() {
	NoError(s.admin.DeleteRecords(s.wide, map[int32]int64{3: 7}), "deleting records")
	Equal(s.offset(s.wide, 3, sarama.OffsetOldest), int64(7), "oldest offset")
	for i, m := range s.read(s.wide, 3, sarama.OffsetOldest, 6) {
		Equal(m.Offset, int64(7+i), "offset")
	}
	consumer, err := sarama.NewConsumerFromClient(s.client)
	NoError(err, "consumer")
	_, err = consumer.ConsumePartition(s.wide, 3, 2)
	IsError(err, is(sarama.ErrOffsetOutOfRange), "reading below the log start")
	True(s.admin.DeleteRecords(s.wide, map[int32]int64{3: 1000}) != nil, "records beyond the end are deleted")
}

func (s *suite) oversized() {
	big := []Sample{{Value: make([]byte, 300_000), Timestamp: FirstTimestamp}}
	_, err := tryProduce(s.wide, 0, big, config())
	IsError(err, is(sarama.ErrMessageSizeTooLarge), "a record above max.message.bytes")
}

func (s *suite) unknownTopic() {
	absent := Unique("sarama-absent")
	IsError(s.admin.DeleteTopic(absent), is(sarama.ErrUnknownTopicOrPartition), "deleting an unknown topic")
	topics, err := s.admin.DescribeTopics([]string{absent})
	NoError(err, "describing topics")
	Equal(topics[0].Err, sarama.ErrUnknownTopicOrPartition, "error of an unknown topic")
}

func (s *suite) autoCreate() {
	topic := Unique("sarama-auto")
	samples := Samples("auto")[:5]
	produce(topic, 0, samples, config())
	for i, m := range s.read(topic, 0, sarama.OffsetOldest, 5) {
		samples[i].Same(asSample(m), fmt.Sprintf("record %d", i))
	}
}

func (s *suite) deleteTopics() {
	NoError(s.admin.DeleteTopic(s.plain), "deleting")
	Eventually(func() {
		topics, err := s.admin.ListTopics()
		NoError(err, "listing topics")
		_, found := topics[s.plain]
		True(!found, "the topic is still listed")
	})
}
