// Command groups_kafkago checks groups with kafka-go (its Reader with a group id), default settings apart from the
// address and what a check is about.
package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	. "sendlog.test/conformance/checks"
	. "sendlog.test/conformance/groups"
)

type client struct {
	Part
	client *kafka.Client
}

func main() {
	opened := client{client: &kafka.Client{Addr: kafka.TCP(Bootstrap())}}
	Main(opened, Version("github.com/segmentio/kafka-go"), []string{"classic"}, nil)
}

func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), Limit)
}

func (client) Name() string { return "kafka-go" }

// Lacks: a Reader commits messages, and neither other offsets nor metadata. When a second member follows at once, the
// first one did not join again before its time was over, with Apache Kafka too.
func (client) Lacks() []string {
	return []string{
		"classic/a lost member is replaced", "classic/commits with metadata", "classic/seek and pause", "classic/static members", "classic/pattern subscriptions", "classic/cooperative rebalancing",
	}
}

func (client) Assignor(string) string { return "" }

func (c client) Admin() Admin { return c }

func (c client) Create(topic string, partitions int32, mayExist bool) {
	ctx, cancel := limited()
	defer cancel()
	config := kafka.TopicConfig{Topic: topic, NumPartitions: int(partitions), ReplicationFactor: 1}
	response, err := c.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}})
	NoError(err, "creating topics")
	if !mayExist || !errors.Is(response.Errors[topic], kafka.TopicAlreadyExists) {
		NoError(response.Errors[topic], "creating "+topic)
	}
	Eventually(func() {
		metadata, err := c.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		NoError(err, "metadata")
		NoError(metadata.Topics[0].Error, "metadata of "+topic)
	})
}

type consumer struct {
	Part
	client client
	group  string
	reader *kafka.Reader
	stop   context.CancelFunc
	ended  chan struct{}
}

func (c client) Join(options Options, member *Member) Consumer {
	id := Unique("reader")

	config := kafka.ReaderConfig{
		Brokers: []string{Bootstrap()}, GroupID: options.Group, GroupTopics: options.Topics,
		Dialer:      &kafka.Dialer{ClientID: id, Timeout: 10 * time.Second, DualStack: true},
		StartOffset: kafka.FirstOffset, HeartbeatInterval: 500 * time.Millisecond,
		// By default a topic that is made later is not seen.
		WatchPartitionChanges: true, PartitionWatchInterval: time.Second,
		// A reader joins again when its fetch has ended, by default after ten seconds, when its session may be over.
		MaxWait: 500 * time.Millisecond, ReadBatchTimeout: time.Second,
		// Five seconds by default.
		JoinGroupBackoff: 200 * time.Millisecond,
	}
	if options.Session != 0 {
		config.SessionTimeout = options.Session
	}
	ctx, stop := context.WithCancel(context.Background())
	joined := &consumer{client: c, group: options.Group, reader: kafka.NewReader(config), stop: stop, ended: make(chan struct{})}
	go joined.read(ctx, member, options.Manual)
	go joined.watch(ctx, member, id)
	return joined
}

func (c *consumer) read(ctx context.Context, member *Member, manual bool) {
	defer close(c.ended)
	for ctx.Err() == nil {
		message, err := c.reader.FetchMessage(ctx)
		if err != nil {
			continue
		}
		member.Received(message.Topic, int32(message.Partition), message.Offset, message.Value)
		if !manual {
			// What cannot be committed any more comes again.
			_ = c.reader.CommitMessages(ctx, message)
		}
	}
}

// A reader does not tell which partitions it has: the broker does.
func (c *consumer) watch(ctx context.Context, member *Member, id string) {
	for ctx.Err() == nil {
		if described, err := c.client.describe(c.group); err == nil {
			var has []At
			for _, of := range described.Members {
				if of.ClientID == id {
					has = append(has, ats(of)...)
				}
			}
			if had := member.Assigned(); described.GroupState == "Stable" && !slices.Equal(had, has) {
				member.Taken(had)
				member.Given(has)
			}
		}
		<-time.After(100 * time.Millisecond)
	}
}

func (c *consumer) Leave() {
	c.stop()
	<-c.ended
	NoError(c.reader.Close(), "closing the reader")
}

func (c *consumer) Commit(at At, offset int64, metadata string) {
	ctx, cancel := limited()
	defer cancel()
	True(metadata == "", "a reader commits no metadata")
	NoError(c.reader.CommitMessages(ctx, kafka.Message{Topic: at.Topic, Partition: int(at.Partition), Offset: offset - 1}), "commit")
}

type producer struct {
	client client
	writer *kafka.Writer
}

// A record goes to the partition that its key names.
func (c client) Producer() Producer {
	writer := &kafka.Writer{
		Addr: kafka.TCP(Bootstrap()), BatchTimeout: 10 * time.Millisecond, RequiredAcks: kafka.RequireAll, MaxAttempts: 100,
		Balancer: kafka.BalancerFunc(func(message kafka.Message, _ ...int) int { return int(message.Key[0]) }),
	}
	return producer{c, writer}
}

func (p producer) Write(topic string, pairs []Pair) {
	ctx, cancel := limited()
	defer cancel()
	var messages []kafka.Message
	for _, pair := range pairs {
		messages = append(messages, kafka.Message{Topic: topic, Key: []byte{byte(pair.Partition)}, Value: []byte(pair.Value)})
	}
	NoError(p.writer.WriteMessages(ctx, messages...), "producing")
}

func (p producer) Close() { NoError(p.writer.Close(), "closing the writer") }

func (c client) Groups() []string {
	ctx, cancel := limited()
	defer cancel()
	listed, err := c.client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	NoError(err, "listing groups")
	NoError(listed.Error, "listing groups")
	var names []string
	for _, group := range listed.Groups {
		names = append(names, group.GroupID)
	}
	return names
}

func (c client) describe(group string) (kafka.DescribeGroupsResponseGroup, error) {
	ctx, cancel := limited()
	defer cancel()
	described, err := c.client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return kafka.DescribeGroupsResponseGroup{}, err
	}
	return described.Groups[0], described.Groups[0].Error
}

func ats(member kafka.DescribeGroupsResponseMember) []At {
	var found []At
	for _, topic := range member.MemberAssignments.Topics {
		for _, partition := range slices.Sorted(slices.Values(topic.Partitions)) {
			found = append(found, At{Topic: topic.Topic, Partition: int32(partition)})
		}
	}
	return found
}

func (c client) Describe(_, group string) Description {
	described, err := c.describe(group)
	NoError(err, "describing the group")
	found := Description{State: strings.ToLower(described.GroupState)}
	for _, member := range described.Members {
		found.Assigned = append(found.Assigned, ats(member))
	}
	return found
}

func (c client) Committed(group string, partitions []At) map[At]Committed {
	ctx, cancel := limited()
	defer cancel()
	asked := map[string][]int{}
	for _, at := range partitions {
		asked[at.Topic] = append(asked[at.Topic], int(at.Partition))
	}
	fetched, err := c.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: asked})
	NoError(err, "fetching offsets")
	NoError(fetched.Error, "fetching offsets")
	found := map[At]Committed{}
	for topic, offsets := range fetched.Topics {
		for _, offset := range offsets {
			if 0 <= offset.CommittedOffset {
				at := At{Topic: topic, Partition: int32(offset.Partition)}
				found[at] = Committed{Offset: offset.CommittedOffset, Metadata: offset.Metadata}
			}
		}
	}
	return found
}

func (c client) Ends(partitions []At) map[At]int64 {
	ctx, cancel := limited()
	defer cancel()
	found := map[At]int64{}
	for _, at := range partitions {
		topics := map[string][]kafka.OffsetRequest{at.Topic: {kafka.LastOffsetOf(int(at.Partition))}}
		listed, err := c.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: topics})
		NoError(err, "listing offsets")
		found[at] = listed.Topics[at.Topic][0].LastOffset
	}
	return found
}

func (c client) Alter(group string, changes map[At]int64) {
	ctx, cancel := limited()
	defer cancel()
	topics := map[string][]kafka.OffsetCommit{}
	for at, offset := range changes {
		topics[at.Topic] = append(topics[at.Topic], kafka.OffsetCommit{Partition: int(at.Partition), Offset: offset})
	}
	response, err := c.client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1, Topics: topics})
	NoError(err, "altering offsets")
	for _, partitions := range response.Topics {
		for _, partition := range partitions {
			NoError(partition.Error, "altering an offset")
		}
	}
}

func (c client) DeleteOffsets(group string, partitions []At) {
	ctx, cancel := limited()
	defer cancel()
	topics := map[string][]int{}
	for _, at := range partitions {
		topics[at.Topic] = append(topics[at.Topic], int(at.Partition))
	}
	response, err := c.client.OffsetDelete(ctx, &kafka.OffsetDeleteRequest{GroupID: group, Topics: topics})
	NoError(err, "deleting offsets")
	NoError(response.Error, "deleting offsets")
	for _, partitions := range response.Topics {
		for _, partition := range partitions {
			NoError(partition.Error, "deleting an offset")
		}
	}
}

func (c client) DeleteGroup(group string) error {
	ctx, cancel := limited()
	defer cancel()
	response, err := c.client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	NoError(err, "deleting groups")
	return response.Errors[group]
}

func (client) Is(err error, name string) bool {
	kinds := map[string]kafka.Error{"NON_EMPTY_GROUP": kafka.NonEmptyGroup, "GROUP_ID_NOT_FOUND": kafka.GroupIdNotFound}
	return errors.Is(err, kinds[name])
}
