package groups

import (
	"fmt"

	. "sendlog.test/conformance/checks"
)

// Settled is a group at work, to have the broker restarted under it.
type Settled interface {
	Protocol() string
	// Before a restart: all is well.
	Before()
	// After it: nothing is lost, and all go on.
	After()
	// End of all restarts.
	End()
}

type settled struct {
	suite
	topic   string
	load    *load
	members []*Member
	written int
}

func newSettled(s suite) Settled {
	topic := s.topic("restarts", 4)
	return &settled{s, topic, startLoad(s.client, topic, 4), []*Member{s.member(topic), s.member(topic)}, 0}
}

func (g *settled) Protocol() string { return g.protocol }

func (g *settled) Before() {
	waitForSplit(g.members, g.topic, 2, 2)
	g.written = g.load.count()
}

func (g *settled) After() {
	GoesOn(g.load.count, g.written)
	waitForValues(g.members, numbers(0, g.load.count(), 1))
	waitForSplit(g.members, g.topic, 2, 2)
}

func (g *settled) End() {
	g.After()
	waitForValues(g.members, g.load.end())
	for _, member := range g.members {
		member.Leave()
	}
}

// GoesOn waits until a count is well above what it was.
func GoesOn(count func() int, before int) {
	Wait(func() bool { return before+100 <= count() }, func() string {
		return fmt.Sprintf("the producer wrote %d before and %d after the restart", before, count())
	})
}

// The broker ends and comes back under groups, in order and by SIGKILL.
func restarts(checks *Checks, groups []Settled) {
	for _, round := range []struct {
		want, feature string
		outcome       func(Settled)
	}{
		{"restart", "broker stopped and started under a group", Settled.After},
		{"kill", "broker killed under a group", Settled.End},
	} {
		for _, group := range groups {
			group.Before()
		}
		done := checks.Want(round.want)
		var steps []func()
		for _, group := range groups {
			name := group.Protocol() + "/" + round.feature
			steps = append(steps, func() { checks.RunIf(done, name, func() { round.outcome(group) }) })
		}
		sideBySide(steps)
	}
}
