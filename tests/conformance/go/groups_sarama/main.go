// Command groups_sarama checks groups with Sarama, default settings apart from the address and what a check is about.
package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	. "sendlog.test/conformance/checks"
	. "sendlog.test/conformance/groups"
)

type client struct {
	Part
	client sarama.Client
	admin  sarama.ClusterAdmin
}

func main() {
	opened, err := sarama.NewClient([]string{Bootstrap()}, config())
	NoError(err, "client")
	admin, err := sarama.NewClusterAdminFromClient(opened)
	NoError(err, "admin client")
	Main(client{client: opened, admin: admin}, Version("github.com/IBM/sarama"), []string{"classic"}, nil)
}

func config() *sarama.Config {
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	// The default is 10 minutes.
	config.Metadata.RefreshFrequency = time.Second
	// The default gives up after a second without a broker.
	config.Metadata.Retry.Max, config.Producer.Retry.Max = 100, 100
	return config
}

func (client) Name() string { return "sarama" }

// Lacks patterns, for topics are given by name; and a fetch that is under way when it pauses still brings records.
func (client) Lacks() []string {
	return []string{"classic/pattern subscriptions", "classic/seek and pause"}
}

func (client) Assignor(string) string { return "range" }

func (c client) Admin() Admin { return c }

func (c client) Create(topic string, partitions int32, mayExist bool) {
	err := c.admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
	if !mayExist || !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		NoError(err, "creating "+topic)
	}
	Eventually(func() {
		topics, err := c.admin.DescribeTopics([]string{topic})
		NoError(err, "describing topics")
		Equal(topics[0].Err, sarama.ErrNoError, "error of the topic")
	})
}

// A consumer that starts session after session.
type consumer struct {
	group   sarama.ConsumerGroup
	member  *Member
	manual  bool
	stop    context.CancelFunc
	ended   chan struct{}
	lock    sync.Mutex
	session sarama.ConsumerGroupSession
}

func (client) Join(options Options, member *Member) Consumer {
	config := config()
	config.Consumer.Group.InstanceId = options.Instance
	config.Consumer.Offsets.AutoCommit.Enable = !options.Manual
	if options.Cooperative {
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	}
	if options.Session != 0 {
		config.Consumer.Group.Session.Timeout = options.Session
	}
	group, err := sarama.NewConsumerGroup([]string{Bootstrap()}, options.Group, config)
	NoError(err, "consumer group")
	ctx, stop := context.WithCancel(context.Background())
	c := &consumer{group: group, member: member, manual: options.Manual, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		for ctx.Err() == nil {
			// An unknown topic and a broker that is away are errors here, and tried again by the caller.
			if err := group.Consume(ctx, options.Topics, c); err != nil {
				<-time.After(100 * time.Millisecond)
			}
		}
	}()
	return c
}

func (c *consumer) Setup(session sarama.ConsumerGroupSession) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.session = session
	return nil
}

func (c *consumer) Cleanup(sarama.ConsumerGroupSession) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.session = nil
	return nil
}

func (c *consumer) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	// Cooperative sessions go on while their claims change.
	claimed := []At{{Topic: claim.Topic(), Partition: claim.Partition()}}
	c.member.Given(claimed)
	defer c.member.Taken(claimed)
	for m := range claim.Messages() {
		c.member.Received(m.Topic, m.Partition, m.Offset, m.Value)
		if !c.manual {
			session.MarkMessage(m, "")
		}
	}
	return nil
}

func (c *consumer) now() sarama.ConsumerGroupSession {
	c.lock.Lock()
	defer c.lock.Unlock()
	True(c.session != nil, "no session")
	return c.session
}

func (c *consumer) Commit(at At, offset int64, metadata string) {
	c.now().MarkOffset(at.Topic, at.Partition, offset, metadata)
	c.now().Commit()
}

func (c *consumer) CommitAsync(at At, offset int64, metadata string) {
	c.now().MarkOffset(at.Topic, at.Partition, offset, metadata)
	go c.now().Commit()
}

func (c *consumer) Pause(at At)  { c.group.Pause(map[string][]int32{at.Topic: {at.Partition}}) }
func (c *consumer) Resume(at At) { c.group.Resume(map[string][]int32{at.Topic: {at.Partition}}) }
func (c *consumer) Seek(at At, offset int64) {
	c.now().ResetOffset(at.Topic, at.Partition, offset, "")
}

func (c *consumer) Leave() {
	c.stop()
	<-c.ended
	NoError(c.group.Close(), "closing the consumer group")
}

type producer struct {
	producer sarama.SyncProducer
}

func (client) Producer() Producer {
	opened, err := sarama.NewSyncProducer([]string{Bootstrap()}, config())
	NoError(err, "producer")
	return producer{opened}
}

func (p producer) Write(topic string, pairs []Pair) {
	var messages []*sarama.ProducerMessage
	for _, pair := range pairs {
		message := &sarama.ProducerMessage{Topic: topic, Partition: pair.Partition, Value: sarama.StringEncoder(pair.Value)}
		messages = append(messages, message)
	}
	NoError(p.producer.SendMessages(messages), "producing")
}

func (p producer) Close() { NoError(p.producer.Close(), "closing the producer") }

func (c client) Groups() []string {
	listed, err := c.admin.ListConsumerGroups()
	NoError(err, "listing groups")
	var names []string
	for name := range listed {
		names = append(names, name)
	}
	return names
}

func (c client) Describe(_, group string) Description {
	described, err := c.admin.DescribeConsumerGroups([]string{group})
	NoError(err, "describing groups")
	found := Description{State: strings.ToLower(described[0].State), Assignor: described[0].Protocol}
	for _, member := range described[0].Members {
		assignment, err := member.GetMemberAssignment()
		NoError(err, "assignment")
		var assigned []At
		if assignment != nil {
			for topic, partitions := range assignment.Topics {
				for _, partition := range slices.Sorted(slices.Values(partitions)) {
					assigned = append(assigned, At{Topic: topic, Partition: partition})
				}
			}
		}
		found.Assigned = append(found.Assigned, assigned)
	}
	return found
}

func (c client) Committed(group string, partitions []At) map[At]Committed {
	asked := map[string][]int32{}
	for _, at := range partitions {
		asked[at.Topic] = append(asked[at.Topic], at.Partition)
	}
	fetched, err := c.admin.ListConsumerGroupOffsets(group, asked)
	NoError(err, "fetching offsets")
	found := map[At]Committed{}
	for _, at := range partitions {
		if block := fetched.GetBlock(at.Topic, at.Partition); block != nil && 0 <= block.Offset {
			found[at] = Committed{Offset: block.Offset, Metadata: block.Metadata}
		}
	}
	return found
}

func (c client) Ends(partitions []At) map[At]int64 {
	found := map[At]int64{}
	for _, at := range partitions {
		end, err := c.client.GetOffset(at.Topic, at.Partition, sarama.OffsetNewest)
		NoError(err, "end offset")
		found[at] = end
	}
	return found
}

func (c client) Alter(group string, changes map[At]int64) {
	offsets := map[string]map[int32]sarama.OffsetAndMetadata{}
	for at, offset := range changes {
		if offsets[at.Topic] == nil {
			offsets[at.Topic] = map[int32]sarama.OffsetAndMetadata{}
		}
		offsets[at.Topic][at.Partition] = sarama.OffsetAndMetadata{Offset: offset, LeaderEpoch: -1}
	}
	response, err := c.admin.AlterConsumerGroupOffsets(group, offsets, nil)
	NoError(err, "altering offsets")
	for _, partitions := range response.Errors {
		for _, code := range partitions {
			Equal(code, sarama.ErrNoError, "error of an altered offset")
		}
	}
}

func (c client) DeleteOffsets(group string, partitions []At) {
	for _, at := range partitions {
		NoError(c.admin.DeleteConsumerGroupOffset(group, at.Topic, at.Partition), "deleting an offset")
	}
}

func (c client) DeleteGroup(group string) error { return c.admin.DeleteConsumerGroup(group) }

func (client) Is(err error, name string) bool {
	kinds := map[string]sarama.KError{"NON_EMPTY_GROUP": sarama.ErrNonEmptyGroup, "GROUP_ID_NOT_FOUND": sarama.ErrGroupIDNotFound}
	return errors.Is(err, kinds[name])
}
