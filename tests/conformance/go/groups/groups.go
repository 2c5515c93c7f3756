package groups

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	. "sendlog.test/conformance/checks"
)

// Feature is a check that can run beside others.
type Feature struct {
	Name  string
	Check func()
}

type suite struct {
	client   Client
	protocol string
}

func (s suite) name(what string) string { return Unique(named(s.client, s.protocol, what)) }

func (s suite) topic(what string, partitions int32) string {
	name := s.name(what)
	s.client.Create(name, partitions, false)
	return name
}

func (s suite) fill(topic string, pairs []Pair) {
	producer := s.client.Producer()
	defer producer.Close()
	producer.Write(topic, pairs)
}

func (s suite) join(options Options) *Member {
	options.Protocol = s.protocol
	member := &Member{assigned: map[At]bool{}}
	member.Consumer = s.client.Join(options, member)
	return member
}

// A member of the group that is named as its topic.
func (s suite) member(topic string) *Member {
	return s.join(Options{Group: topic, Topics: []string{topic}})
}

func (s suite) features() []Feature {
	features := []Feature{
		{"members join and leave under load", s.underLoad},
		{"offsets are resumed", s.resume},
		{"commits with metadata", s.commits},
		{"seek and pause", s.seekAndPause},
		{"static members", s.staticMembers},
		{"pattern subscriptions", s.pattern},
		{"topics made after subscribing", s.laterTopic},
		{"a lost member is replaced", s.lostMember},
	}
	if s.protocol == "classic" {
		features = append(features, Feature{"cooperative rebalancing", s.cooperative})
	}
	return features
}

func (s suite) underLoad() {
	topic := s.topic("load", 6)
	load := startLoad(s.client, topic, 6)
	a, b := s.member(topic), s.member(topic)
	waitForSplit([]*Member{a, b}, topic, 3, 3)
	c := s.member(topic)
	waitForSplit([]*Member{a, b, c}, topic, 2, 2, 2)
	b.Leave()
	waitForSplit([]*Member{a, c}, topic, 3, 3)
	waitForValues([]*Member{a, b, c}, load.end())
	a.Leave()
	c.Leave()
}

func (s suite) resume() {
	topic := s.topic("resume", 2)
	s.fill(topic, pairs(0, 20, 2))
	first := s.member(topic)
	waitForValues([]*Member{first}, numbers(0, 20, 1))
	first.Leave()
	s.fill(topic, pairs(20, 30, 2))
	second := s.member(topic)
	waitForValues([]*Member{second}, numbers(20, 30, 1))
	second.Leave()
	Equal(len(second.seen()), 10, "number of records after the return")
}

func (s suite) commits() {
	topic := s.topic("commits", 2)
	p0, p1 := At{topic, 0}, At{topic, 1}
	committed := func(at At) Committed { return s.client.Admin().Committed(topic, []At{at})[at] }
	member := s.join(Options{Group: topic, Topics: []string{topic}, Manual: true})
	waitForSplit([]*Member{member}, topic, 2)
	s.fill(topic, pairs(0, 20, 2))
	waitForValues([]*Member{member}, numbers(0, 20, 1))
	Equal(len(s.client.Admin().Committed(topic, []At{p0})), 0, "offsets before the first commit")
	member.Commit(p0, 4, "so far, grüße")
	Equal(committed(p0), Committed{4, "so far, grüße"}, "committed")
	member.Commit(p1, 7, "")
	Equal(committed(p1), Committed{7, ""}, "committed without metadata")
	member.CommitAsync(p0, 6, "later")
	Wait(func() bool { return committed(p0) == Committed{6, "later"} }, func() string { return "the asynchronous commit" })
	member.Leave()
	again := s.join(Options{Group: topic, Topics: []string{topic}, Manual: true})
	waitForValues([]*Member{again}, append(numbers(12, 20, 2), numbers(15, 20, 2)...))
	Equal(len(again.seen()), 7, "number of records behind the commits")
	again.Leave()
}

func (s suite) seekAndPause() {
	topic := s.topic("seek", 2)
	s.fill(topic, pairs(0, 10, 2))
	member := s.member(topic)
	waitForValues([]*Member{member}, numbers(0, 10, 1))
	member.Pause(At{topic, 0})
	s.fill(topic, pairs(10, 20, 2))
	waitForValues([]*Member{member}, numbers(11, 20, 2))
	Equal(len(member.seen()), 15, "number of records with a paused partition")
	member.Resume(At{topic, 0})
	waitForValues([]*Member{member}, numbers(0, 20, 1))
	member.forget()
	member.Seek(At{topic, 1}, 3)
	waitForValues([]*Member{member}, numbers(7, 20, 2))
	for _, record := range member.seen() {
		True(3 <= record.Offset, "a record before the offset that was sought")
	}
	member.Leave()
}

func (s suite) staticMembers() {
	topic := s.topic("static", 4)
	static := func(instance string) *Member {
		return s.join(Options{Group: topic, Topics: []string{topic}, Instance: instance})
	}
	a, b := static("one"), static("two")
	waitForSplit([]*Member{a, b}, topic, 2, 2)
	had, kept, rebalances := a.Assigned(), b.Assigned(), b.rebalances()
	a.Leave()
	a = static("one")
	waitForSplit([]*Member{a, b}, topic, 2, 2)
	Equal(a.Assigned(), had, "partitions after the bounce")
	Equal(b.Assigned(), kept, "partitions of the other member")
	Equal(b.rebalances(), rebalances, "rebalances that the other member saw")
	a.Leave()
	b.Leave()
}

func (s suite) cooperative() {
	topic := s.topic("cooperative", 4)
	options := Options{Group: topic, Topics: []string{topic}, Cooperative: true}
	a := s.join(options)
	waitForSplit([]*Member{a}, topic, 4)
	b := s.join(options)
	waitForSplit([]*Member{a, b}, topic, 2, 2)
	a.lock.Lock()
	taken := sorted(a.taken)
	a.lock.Unlock()
	Equal(taken, b.Assigned(), "what was taken from the first member")
	a.Leave()
	b.Leave()
}

func (s suite) pattern() {
	prefix := s.name("pattern")
	named := func(suffix string) string { return prefix + "-" + suffix }
	s.client.Create(named("one"), 1, false)
	s.client.Create(named("two"), 1, false)
	member := s.join(Options{Group: prefix, Pattern: "^" + regexp.QuoteMeta(prefix) + "-.*"})
	assigned := func(count int) {
		Wait(func() bool { return len(member.Assigned()) == count }, func() string {
			return fmt.Sprintf("%d topics, but %v", count, member.Assigned())
		})
	}
	assigned(2)
	s.client.Create(named("three"), 1, false)
	s.client.Create("other-"+named("four"), 1, false)
	for _, suffix := range []string{"one", "two", "three"} {
		s.fill(named(suffix), []Pair{{0, suffix}})
	}
	waitForValues([]*Member{member}, []string{"one", "two", "three"})
	assigned(3)
	member.Leave()
}

func (s suite) laterTopic() {
	topic := s.name("later")
	member := s.member(topic)
	<-time.After(time.Second)
	s.client.Create(topic, 2, true)
	s.fill(topic, []Pair{{0, "first"}, {0, "second"}})
	waitForValues([]*Member{member}, []string{"first", "second"})
	member.Leave()
}

func (s suite) lostMember() {
	topic := s.topic("lost", 4)
	other := exec.Command(os.Args[0], "member", s.protocol, topic)
	output, err := other.StdoutPipe()
	NoError(err, "pipe")
	NoError(other.Start(), "starting another process")
	defer func() { _ = other.Wait() }()
	defer func() { _ = other.Process.Kill() }()
	line, _ := bufio.NewReader(output).ReadString('\n')
	Equal(strings.TrimSpace(line), "joined", "what the other process says")
	member := s.join(Options{Group: topic, Topics: []string{topic}, Session: Session})
	waitForSplit([]*Member{member}, topic, 2)
	s.fill(topic, pairs(0, 8, 4))
	NoError(other.Process.Kill(), "killing it")
	waitForSplit([]*Member{member}, topic, 4)
	waitForValues([]*Member{member}, numbers(0, 8, 1))
	member.Leave()
}

// Stay is a member in a process of its own, to be killed.
func stay(client Client, protocol, topic string) {
	s := suite{client, protocol}
	member := s.join(Options{Group: topic, Topics: []string{topic}, Session: Session})
	Wait(func() bool { return 0 < len(member.Assigned()) }, func() string { return "partitions" })
	fmt.Println("joined")
	select {}
}

// Main runs all checks for the protocols, those of `further` beside them.
func Main(client Client, version string, protocols []string, further []Feature, groups ...Settled) {
	if len(os.Args) == 4 && os.Args[1] == "member" {
		stay(client, os.Args[2], os.Args[3])
	}
	checks := New(client.Name(), version)
	var steps []func()
	run := func(protocol string, feature Feature) {
		name := protocol + "/" + feature.Name
		if !slices.Contains(client.Lacks(), name) {
			checks.Run(name, feature.Check)
		}
	}
	for _, protocol := range protocols {
		s := suite{client, protocol}
		for _, feature := range s.features() {
			steps = append(steps, func() { run(protocol, feature) })
		}
		steps = append(steps, func() {
			for _, feature := range s.administration() {
				run(protocol, feature)
			}
		})
	}
	for _, feature := range further {
		steps = append(steps, func() { checks.Run(feature.Name, feature.Check) })
	}
	sideBySide(steps)
	for _, protocol := range protocols {
		groups = append(groups, newSettled(suite{client, protocol}))
	}
	restarts(checks, groups)
	checks.Finish()
}

func sideBySide(steps []func()) {
	var all sync.WaitGroup
	for _, step := range steps {
		all.Go(step)
	}
	all.Wait()
}
