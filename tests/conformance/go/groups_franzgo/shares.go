package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	. "sendlog.test/conformance/checks"
	. "sendlog.test/conformance/groups"
)

// How long a record is locked where a check waits for the end of it; else it is long, so that no pause ends a lock.
const shortLock = 2 * time.Second

// How often a record is handed out by default.
const deliveries = 5

type shares struct {
	client
}

func (s shares) features() []Feature {
	return []Feature{
		{Name: "share/members share a partition", Check: s.twoMembers},
		{Name: "share/accept, release and reject", Check: s.acknowledgements},
		{Name: "share/locks expire", Check: s.locks},
		{Name: "share/delivery limit", Check: s.deliveryLimit},
		{Name: "share/list, describe and delete groups", Check: s.administration},
		{Name: "share/alter and delete offsets of a group", Check: s.offsets},
	}
}

// A topic of one partition, and a share group of the same name that reads it from its beginning.
func (s shares) topic(what string) string {
	return s.topicOf(what, map[string]string{})
}

// The same, with settings of the group.
func (s shares) topicOf(what string, settings map[string]string) string {
	topic := Unique("franz-go-share-" + what)
	s.Create(topic, 1, false)
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, topic
	settings["share.auto.offset.reset"] = "earliest"
	for name, value := range settings {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Value = name, &value
		resource.Configs = append(resource.Configs, config)
	}
	request.Resources = append(request.Resources, resource)
	ctx, cancel := limited()
	defer cancel()
	client := open()
	defer client.Close()
	response, err := request.RequestWith(ctx, client)
	NoError(err, "configuring the group")
	NoError(kerr.ErrorForCode(response.Resources[0].ErrorCode), "configuring the group")
	return topic
}

func (s shares) fill(topic string, values ...string) {
	producer := s.Producer()
	defer producer.Close()
	for _, value := range values {
		producer.Write(topic, []Pair{{Partition: 0, Value: value}})
	}
}

func join(group string) *kgo.Client {
	return open(kgo.ShareGroup(group), kgo.ConsumeTopics(group), kgo.MetadataMinAge(100*time.Millisecond))
}

// The next records, in the order of their offsets.
func take(client *kgo.Client, count int) []*kgo.Record {
	ctx, cancel := limited()
	defer cancel()
	var taken []*kgo.Record
	for len(taken) < count {
		fetches := client.PollFetches(ctx)
		NoError(ctx.Err(), fmt.Sprintf("%d records, but %d came", count, len(taken)))
		taken = append(taken, fetches.Records()...)
	}
	slices.SortFunc(taken, func(a, b *kgo.Record) int { return int(a.Offset - b.Offset) })
	return taken
}

func acknowledge(client *kgo.Client, status kgo.AckStatus, records ...*kgo.Record) {
	client.MarkAcks(status, records...)
	ctx, cancel := limited()
	defer cancel()
	NoError(client.FlushAcks(ctx), "acknowledging")
}

type told struct {
	Value    string
	Delivery int32
}

func tell(records []*kgo.Record) []told {
	var all []told
	for _, record := range records {
		all = append(all, told{string(record.Value), record.DeliveryCount()})
	}
	return all
}

func (s shares) acknowledgements() {
	topic := s.topic("kinds")
	s.fill(topic, "a", "b", "c", "d", "e", "f")
	client := join(topic)
	defer client.Close()
	records := take(client, 6)
	Equal(tell(records), []told{{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}, {"f", 1}}, "records")
	for i, status := range []kgo.AckStatus{kgo.AckAccept, kgo.AckRelease, kgo.AckReject} {
		client.MarkAcks(status, records[i], records[i+3])
	}
	ctx, cancel := limited()
	defer cancel()
	NoError(client.FlushAcks(ctx), "acknowledging")
	again := take(client, 2)
	Equal(tell(again), []told{{"b", 2}, {"e", 2}}, "records that come again")
	acknowledge(client, kgo.AckAccept, again...)
	s.fill(topic, "last")
	Equal(tell(take(client, 1)), []told{{"last", 1}}, "what comes after all is acknowledged")
}

func (s shares) locks() {
	milliseconds := strconv.FormatInt(shortLock.Milliseconds(), 10)
	topic := s.topicOf("locks", map[string]string{"share.record.lock.duration.ms": milliseconds})
	s.fill(topic, "held")
	holder := join(topic)
	defer holder.Close()
	Equal(tell(take(holder, 1)), []told{{"held", 1}}, "record")
	other := join(topic)
	defer other.Close()
	// The first member fetches on as well, and may be handed the record once more.
	again := tell(take(other, 1))[0]
	True(again.Value == "held" && 2 <= again.Delivery, fmt.Sprint("record after its lock is ", again))
}

func (s shares) deliveryLimit() {
	topic := s.topic("limit")
	s.fill(topic, "never accepted")
	client := join(topic)
	defer client.Close()
	for delivery := range int32(deliveries) {
		records := take(client, 1)
		Equal(tell(records), []told{{"never accepted", delivery + 1}}, "record")
		acknowledge(client, kgo.AckRelease, records...)
	}
	s.fill(topic, "next")
	Equal(tell(take(client, 1)), []told{{"next", 1}}, "record after the last delivery of the other")
}

func (s shares) administration() {
	topic := s.topic("admin")
	s.fill(topic, "one")
	client := join(topic)
	acknowledge(client, kgo.AckAccept, take(client, 1)...)
	ctx, cancel := limited()
	defer cancel()
	listed, err := s.admin.ListGroupsByType(ctx, []string{"share"})
	NoError(err, "listing share groups")
	True(slices.Contains(listed.Groups(), topic), "the group is not listed")
	described, err := s.admin.DescribeShareGroups(ctx, topic)
	NoError(err, "describing share groups")
	group := described[topic]
	NoError(group.Err, "describing the group")
	Equal(strings.ToLower(group.GroupState), "stable", "state")
	Equal(group.Assignor, "simple", "assignor")
	Equal(len(group.Members), 1, "members")
	Equal(group.Members[0].Assignment.Sorted(), kadm.TopicsList{{Topic: topic, Partitions: []int32{0}}}, "assignment")
	_, err = s.admin.DeleteGroup(ctx, topic)
	IsError(err, func(err error) bool { return admin{}.Is(err, "NON_EMPTY_GROUP") }, "deleting a group with a member")
	client.Close()
	Wait(func() bool { _, err = s.admin.DeleteGroup(ctx, topic); return err == nil }, func() string {
		return fmt.Sprintf("deleting the group gives %v", err)
	})
}

func (s shares) offsets() {
	topic := s.topic("offsets")
	s.fill(topic, "one", "two", "three")
	client := join(topic)
	records := take(client, 3)
	acknowledge(client, kgo.AckAccept, records[:2]...)
	acknowledge(client, kgo.AckRelease, records[2])
	client.Close()
	ctx, cancel := limited()
	defer cancel()
	start := func() int64 {
		described, err := s.admin.DescribeShareGroupOffsets(ctx, topic)
		NoError(err, "describing offsets")
		NoError(described[topic].Err, "describing offsets")
		offset, _ := described[topic].Offsets.Lookup(topic, 0)
		return offset.StartOffset
	}
	Wait(func() bool { return start() == 2 }, func() string { return fmt.Sprintf("start offset 2, but %d", start()) })
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 1, -1)
	altered, err := s.admin.AlterShareGroupOffsets(ctx, topic, offsets)
	NoError(err, "altering offsets")
	NoError(altered.Error(), "altering the offset")
	again := join(topic)
	records = take(again, 2)
	Equal(tell(records), []told{{"two", 1}, {"three", 1}}, "records behind the new offset")
	acknowledge(again, kgo.AckAccept, records...)
	again.Close()
	deleted, err := s.admin.DeleteShareGroupOffsets(ctx, topic, topic)
	NoError(err, "deleting offsets")
	NoError(deleted.Error(), "deleting the offset")
}

// Sharing is a share group under load; its members accept what they get.
type sharing struct {
	topic   string
	stop    context.CancelFunc
	all     sync.WaitGroup
	lock    sync.Mutex
	failure any
	written int
	before  int
	had     [2]int
	seen    [2]map[string]int
}

func (s shares) share(what string) *sharing {
	g := &sharing{topic: s.topic(what), seen: [2]map[string]int{{}, {}}}
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	for i := range g.seen {
		g.all.Go(func() { g.consume(ctx, i) })
	}
	g.all.Go(func() { g.produce(ctx, s.Producer()) })
	return g
}

func (g *sharing) consume(ctx context.Context, member int) {
	client := join(g.topic)
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		g.lock.Lock()
		fetches.EachRecord(func(record *kgo.Record) { g.seen[member][string(record.Value)]++ })
		written, seen := g.written, len(g.seen[0])+len(g.seen[1])
		g.lock.Unlock()
		if ctx.Err() != nil && written <= seen {
			return
		}
		if ctx.Err() != nil {
			// The load has ended; what it wrote is still to be read.
			polled, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			fetches = client.PollFetches(polled)
			cancel()
			g.lock.Lock()
			fetches.EachRecord(func(record *kgo.Record) { g.seen[member][string(record.Value)]++ })
			g.lock.Unlock()
		}
	}
}

func (g *sharing) produce(ctx context.Context, producer Producer) {
	defer producer.Close()
	defer func() {
		g.lock.Lock()
		defer g.lock.Unlock()
		g.failure = recover()
	}()
	for number := 0; ctx.Err() == nil; number += 10 {
		var pairs []Pair
		for n := number; n < number+10; n++ {
			pairs = append(pairs, Pair{Partition: 0, Value: strconv.Itoa(n)})
		}
		producer.Write(g.topic, pairs)
		g.lock.Lock()
		g.written += 10
		g.lock.Unlock()
		<-time.After(30 * time.Millisecond)
	}
}

// What was written and how many each member has seen.
func (g *sharing) counts() (int, [2]int) {
	g.lock.Lock()
	defer g.lock.Unlock()
	True(g.failure == nil, fmt.Sprint("producing: ", g.failure))
	return g.written, [2]int{len(g.seen[0]), len(g.seen[1])}
}

func (g *sharing) missing(written int) int {
	g.lock.Lock()
	defer g.lock.Unlock()
	missing := 0
	for n := range written {
		value := strconv.Itoa(n)
		if g.seen[0][value]+g.seen[1][value] == 0 {
			missing++
		}
	}
	return missing
}

func (g *sharing) Protocol() string { return "share" }

// Both members get records.
func (g *sharing) Before() {
	_, had := g.counts()
	Wait(func() bool { _, has := g.counts(); return had[0] < has[0] && had[1] < has[1] }, func() string {
		_, has := g.counts()
		return fmt.Sprintf("records for both members, but they had %v and have %v", had, has)
	})
	g.before, g.had = g.counts()
}

func (g *sharing) After() {
	GoesOn(func() int { written, _ := g.counts(); return written }, g.before)
	written, _ := g.counts()
	Wait(func() bool { return g.missing(written) == 0 }, func() string {
		return fmt.Sprintf("%d of %d records did not come", g.missing(written), written)
	})
	g.Before()
}

func (g *sharing) End() {
	g.After()
	g.stop()
	g.all.Wait()
	Equal(g.missing(g.written), 0, "records that did not come")
}

func (s shares) twoMembers() {
	group := s.share("two")
	group.Before()
	group.End()
	for n := range group.written {
		value := strconv.Itoa(n)
		Equal(group.seen[0][value]+group.seen[1][value], 1, "how often record "+value+" came")
	}
}

func (s shares) settled() Settled { return &waiting{s, nil} }

// Waiting starts its group when the first restart comes.
type waiting struct {
	shares shares
	group  *sharing
}

func (w *waiting) Protocol() string { return "share" }

func (w *waiting) Before() {
	if w.group == nil {
		w.group = w.shares.share("restarts")
	}
	w.group.Before()
}

func (w *waiting) After() { w.group.After() }
func (w *waiting) End()   { w.group.End() }
