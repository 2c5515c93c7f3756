// Package groups has what every client must be able to do with a group. A client hands over its consumers, a producer
// and an admin; the checks run side by side, each in a group and on a topic of its own, for mostly they wait.
package groups

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	. "sendlog.test/conformance/checks"
)

// Limit ends what does not come to pass.
const Limit = 60 * time.Second

// Session is how long a lost member is not missed, where the client says so and not the broker.
const Session = 6 * time.Second

// At is a partition.
type At struct {
	Topic     string
	Partition int32
}

// Options of a member.
type Options struct {
	Protocol string
	Group    string
	Topics   []string
	// Pattern stands in the place of topics.
	Pattern string
	// Instance is the id of a static member.
	Instance string
	// Cooperative asks for a cooperative assignor.
	Cooperative bool
	// Manual turns committing in the background off.
	Manual bool
	// Session is 0 for the client's default.
	Session time.Duration
}

// Record is what a member received.
type Record struct {
	At     At
	Offset int64
	Value  string
}

// Member is a consumer in a group, and what it saw.
type Member struct {
	Consumer
	lock     sync.Mutex
	records  []Record
	assigned map[At]bool
	given    int
	taken    []At
	failure  error
}

// Received adds a record.
func (m *Member) Received(topic string, partition int32, offset int64, value []byte) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.records = append(m.records, Record{At{topic, partition}, offset, string(value)})
}

// Given adds partitions to those that the member has.
func (m *Member) Given(partitions []At) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.given++
	for _, at := range partitions {
		m.assigned[at] = true
	}
}

// Taken removes partitions.
func (m *Member) Taken(partitions []At) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.taken = append(m.taken, partitions...)
	for _, at := range partitions {
		delete(m.assigned, at)
	}
}

// Failed tells of an error that a consumer should not have.
func (m *Member) Failed(err error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.failure = err
}

// Assigned are the member's partitions, sorted.
func (m *Member) Assigned() []At {
	m.lock.Lock()
	defer m.lock.Unlock()
	return sorted(slices.Collect(maps.Keys(m.assigned)))
}

func sorted(partitions []At) []At {
	return slices.SortedFunc(slices.Values(partitions), func(a, b At) int {
		return cmpAt(a, b)
	})
}

func cmpAt(a, b At) int {
	if a.Topic != b.Topic {
		if a.Topic < b.Topic {
			return -1
		}
		return 1
	}
	return int(a.Partition - b.Partition)
}

func (m *Member) seen() []Record {
	m.lock.Lock()
	defer m.lock.Unlock()
	NoError(m.failure, "consuming")
	return slices.Clone(m.records)
}

func (m *Member) forget() {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.records = nil
}

func (m *Member) rebalances() [2]int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return [2]int{m.given, len(m.taken)}
}

// Wait until the condition holds.
func Wait(condition func() bool, what func() string) {
	deadline := time.Now().Add(Limit)
	for !condition() {
		if deadline.Before(time.Now()) {
			panic(fmt.Sprintf("not after %s: %s", Limit, what()))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Until the members share a topic's partitions, so many for each, in any order.
func waitForSplit(members []*Member, topic string, counts ...int) {
	split := func() bool {
		union := map[At]bool{}
		var found []int
		for _, member := range members {
			member.seen()
			assigned := member.Assigned()
			found = append(found, len(assigned))
			for _, at := range assigned {
				if at.Topic != topic {
					return false
				}
				union[at] = true
			}
		}
		total := 0
		for _, count := range counts {
			total += count
		}
		slices.Sort(found)
		return slices.Equal(found, slices.Sorted(slices.Values(counts))) && len(union) == total
	}
	Wait(split, func() string {
		text := fmt.Sprintf("a split into %v, but", counts)
		for _, member := range members {
			text += fmt.Sprint(" ", member.Assigned())
		}
		return text
	})
}

// Until the members together have received the values.
func waitForValues(members []*Member, expected []string) {
	missing := func() []string {
		came := map[string]bool{}
		for _, member := range members {
			for _, record := range member.seen() {
				came[record.Value] = true
			}
		}
		return slices.DeleteFunc(slices.Clone(expected), func(value string) bool { return came[value] })
	}
	Wait(func() bool { return len(missing()) == 0 }, func() string {
		left := missing()
		return fmt.Sprintf("%d of %d records did not come: %v", len(left), len(expected), left[:min(len(left), 5)])
	})
}

func numbers(from, to, step int) []string {
	var values []string
	for n := from; n < to; n += step {
		values = append(values, strconv.Itoa(n))
	}
	return values
}

// A load writes numbers to all partitions, some hundred in a second, until it is stopped.
type load struct {
	lock    sync.Mutex
	written int
	failure any
	stop    chan struct{}
	stopped chan struct{}
}

func startLoad(client Client, topic string, partitions int) *load {
	l := &load{stop: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(l.stopped)
		defer func() {
			failure := recover()
			l.lock.Lock()
			l.failure = failure
			l.lock.Unlock()
		}()
		producer := client.Producer()
		defer producer.Close()
		for {
			written := l.count()
			producer.Write(topic, pairs(written, written+10, partitions))
			l.lock.Lock()
			l.written += 10
			l.lock.Unlock()
			select {
			case <-l.stop:
				return
			case <-time.After(30 * time.Millisecond):
			}
		}
	}()
	return l
}

func (l *load) count() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.failure != nil {
		panic(l.failure)
	}
	return l.written
}

// Ends the load; all that it wrote.
func (l *load) end() []string {
	close(l.stop)
	select {
	case <-l.stopped:
	case <-time.After(Limit):
		panic("the producer hangs")
	}
	return numbers(0, l.count(), 1)
}

// Pair is a value and the partition it goes to.
type Pair struct {
	Partition int32
	Value     string
}

func pairs(from, to, partitions int) []Pair {
	var made []Pair
	for n := from; n < to; n++ {
		made = append(made, Pair{int32(n % partitions), strconv.Itoa(n)})
	}
	return made
}
