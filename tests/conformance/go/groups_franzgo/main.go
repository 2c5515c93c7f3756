// Command groups_franzgo checks groups with franz-go (kgo and kadm), default settings apart from the address and what a
// check is about.
package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	. "sendlog.test/conformance/checks"
	. "sendlog.test/conformance/groups"
)

type client struct {
	admin *kadm.Client
}

func main() {
	c := client{kadm.NewClient(open())}
	shares := shares{c}
	Main(c, Version("github.com/twmb/franz-go"), []string{"classic", "consumer"}, shares.features(), shares.settled())
}

func open(options ...kgo.Opt) *kgo.Client {
	opened, err := kgo.NewClient(append(options, kgo.SeedBrokers(Bootstrap()))...)
	NoError(err, "client")
	return opened
}

func limited() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), Limit)
}

func (client) Name() string { return "franz-go" }

// Lacks: when a static member leaves for a while, it forgets to name itself in the heartbeat that says so.
func (client) Lacks() []string { return []string{"consumer/static members"} }

func (client) Assignor(protocol string) string {
	return map[string]string{"classic": "cooperative-sticky", "consumer": "uniform"}[protocol]
}

func (c client) Admin() Admin { return admin(c) }

func (c client) Create(topic string, partitions int32, mayExist bool) {
	ctx, cancel := limited()
	defer cancel()
	_, err := c.admin.CreateTopic(ctx, partitions, 1, nil, topic)
	if !mayExist || !errors.Is(err, kerr.TopicAlreadyExists) {
		NoError(err, "creating "+topic)
	}
	Eventually(func() {
		topics, err := c.admin.ListTopics(ctx, topic)
		NoError(err, "listing topics")
		NoError(topics[topic].Err, "listing "+topic)
	})
}

func ats(partitions map[string][]int32) []At {
	var found []At
	for topic, numbers := range partitions {
		for _, partition := range numbers {
			found = append(found, At{Topic: topic, Partition: partition})
		}
	}
	return found
}

type consumer struct {
	client *kgo.Client
	manual bool
	stop   context.CancelFunc
	ended  chan struct{}
}

func (client) Join(options Options, member *Member) Consumer {
	taken := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) { member.Taken(ats(partitions)) }
	opts := []kgo.Opt{
		kgo.ConsumerGroup(options.Group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		// Five minutes by default.
		kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			member.Given(ats(partitions))
		}),
		kgo.OnPartitionsRevoked(taken), kgo.OnPartitionsLost(taken),
	}
	if options.Protocol == "consumer" {
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	if options.Pattern == "" {
		opts = append(opts, kgo.ConsumeTopics(options.Topics...))
	} else {
		opts = append(opts, kgo.ConsumeTopics(options.Pattern), kgo.ConsumeRegex())
	}
	if options.Instance != "" {
		opts = append(opts, kgo.InstanceID(options.Instance))
	}
	if options.Manual {
		opts = append(opts, kgo.DisableAutoCommit())
	}
	if options.Session != 0 {
		opts = append(opts, kgo.SessionTimeout(options.Session))
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &consumer{open(opts...), options.Manual, stop, make(chan struct{})}
	go c.poll(ctx, member)
	return c
}

func (c *consumer) poll(ctx context.Context, member *Member) {
	defer close(c.ended)
	for ctx.Err() == nil {
		fetches := c.client.PollFetches(ctx)
		fetches.EachError(func(_ string, _ int32, err error) {
			// While the broker is away the client tells of every vain attempt to join again.
			var told *kerr.Error
			if errors.As(err, &told) && !told.Retriable {
				member.Failed(err)
			}
		})
		fetches.EachRecord(func(r *kgo.Record) { member.Received(r.Topic, r.Partition, r.Offset, r.Value) })
	}
}

func (c *consumer) Leave() {
	c.stop()
	<-c.ended
	ctx, cancel := limited()
	defer cancel()
	if !c.manual {
		// What was polled last is not committed in the background any more.
		NoError(c.client.CommitUncommittedOffsets(ctx), "the last commit")
	}
	NoError(c.client.LeaveGroupContext(ctx), "leaving")
	c.client.Close()
}

func withMetadata(ctx context.Context, metadata string) context.Context {
	return kgo.PreCommitFnContext(ctx, func(request *kmsg.OffsetCommitRequest) error {
		for t := range request.Topics {
			for p := range request.Topics[t].Partitions {
				request.Topics[t].Partitions[p].Metadata = &metadata
			}
		}
		return nil
	})
}

func offsets(at At, offset int64) map[string]map[int32]kgo.EpochOffset {
	return map[string]map[int32]kgo.EpochOffset{at.Topic: {at.Partition: {Epoch: -1, Offset: offset}}}
}

func (c *consumer) Commit(at At, offset int64, metadata string) {
	ctx, cancel := limited()
	defer cancel()
	told := errors.New("no answer")
	done := func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		told = err
		if err == nil {
			told = kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode)
		}
	}
	c.client.CommitOffsetsSync(withMetadata(ctx, metadata), offsets(at, offset), done)
	NoError(told, "commit")
}

func (c *consumer) CommitAsync(at At, offset int64, metadata string) {
	c.client.CommitOffsets(withMetadata(context.Background(), metadata), offsets(at, offset), nil)
}

func (c *consumer) Pause(at At) {
	c.client.PauseFetchPartitions(map[string][]int32{at.Topic: {at.Partition}})
}

func (c *consumer) Resume(at At) {
	c.client.ResumeFetchPartitions(map[string][]int32{at.Topic: {at.Partition}})
}

func (c *consumer) Seek(at At, offset int64) { c.client.SetOffsets(offsets(at, offset)) }

type producer struct {
	client *kgo.Client
}

func (client) Producer() Producer {
	return producer{open(kgo.RecordPartitioner(kgo.ManualPartitioner()))}
}

func (p producer) Write(topic string, pairs []Pair) {
	ctx, cancel := limited()
	defer cancel()
	var records []*kgo.Record
	for _, pair := range pairs {
		records = append(records, &kgo.Record{Topic: topic, Partition: pair.Partition, Value: []byte(pair.Value)})
	}
	NoError(p.client.ProduceSync(ctx, records...).FirstErr(), "producing")
}

func (p producer) Close() { p.client.Close() }

type admin client

func (a admin) Groups() []string {
	ctx, cancel := limited()
	defer cancel()
	listed, err := a.admin.ListGroups(ctx)
	NoError(err, "listing groups")
	return listed.Groups()
}

func (a admin) Describe(protocol, group string) Description {
	ctx, cancel := limited()
	defer cancel()
	var found Description
	if protocol == "classic" {
		groups, err := a.admin.DescribeGroups(ctx, group)
		NoError(err, "describing groups")
		NoError(groups[group].Err, "describing the group")
		found = Description{State: strings.ToLower(groups[group].State), Assignor: groups[group].Protocol}
		for _, member := range groups[group].Members {
			assigned, _ := member.Assigned.AsConsumer()
			partitions := map[string][]int32{}
			for _, topic := range assigned.Topics {
				partitions[topic.Topic] = topic.Partitions
			}
			found.Assigned = append(found.Assigned, inOrder(ats(partitions)))
		}
		return found
	}
	groups, err := a.admin.DescribeConsumerGroups(ctx, group)
	NoError(err, "describing groups")
	NoError(groups[group].Err, "describing the group")
	found = Description{State: strings.ToLower(groups[group].State), Assignor: groups[group].AssignorName}
	for _, member := range groups[group].Members {
		partitions := map[string][]int32{}
		for topic, numbers := range member.Assignment {
			partitions[topic] = slices.Collect(maps.Keys(numbers))
		}
		found.Assigned = append(found.Assigned, inOrder(ats(partitions)))
	}
	return found
}

func inOrder(partitions []At) []At {
	slices.SortFunc(partitions, func(a, b At) int { return int(a.Partition - b.Partition) })
	return partitions
}

func (a admin) Committed(group string, partitions []At) map[At]Committed {
	ctx, cancel := limited()
	defer cancel()
	fetched, err := a.admin.FetchOffsets(ctx, group)
	NoError(err, "fetching offsets")
	found := map[At]Committed{}
	for _, at := range partitions {
		if offset, ok := fetched.Lookup(at.Topic, at.Partition); ok && 0 <= offset.At {
			found[at] = Committed{Offset: offset.At, Metadata: offset.Metadata}
		}
	}
	return found
}

func (a admin) Ends(partitions []At) map[At]int64 {
	ctx, cancel := limited()
	defer cancel()
	ends, err := a.admin.ListEndOffsets(ctx, partitions[0].Topic)
	NoError(err, "end offsets")
	found := map[At]int64{}
	for _, at := range partitions {
		end, _ := ends.Lookup(at.Topic, at.Partition)
		found[at] = end.Offset
	}
	return found
}

func (a admin) Alter(group string, changes map[At]int64) {
	ctx, cancel := limited()
	defer cancel()
	offsets := kadm.Offsets{}
	for at, offset := range changes {
		offsets.AddOffset(at.Topic, at.Partition, offset, -1)
	}
	NoError(a.admin.CommitAllOffsets(ctx, group, offsets), "altering offsets")
}

func (a admin) DeleteOffsets(group string, partitions []At) {
	ctx, cancel := limited()
	defer cancel()
	topics := kadm.TopicsSet{}
	for _, at := range partitions {
		topics.Add(at.Topic, at.Partition)
	}
	deleted, err := a.admin.DeleteOffsets(ctx, group, topics)
	NoError(err, "deleting offsets")
	NoError(deleted.Error(), "deleting an offset")
}

func (a admin) DeleteGroup(group string) error {
	ctx, cancel := limited()
	defer cancel()
	_, err := a.admin.DeleteGroup(ctx, group)
	return err
}

func (admin) Is(err error, name string) bool {
	var told *kerr.Error
	return errors.As(err, &told) && told.Message == name
}
