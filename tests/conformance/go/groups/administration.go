package groups

import (
	"fmt"
	"slices"

	. "sendlog.test/conformance/checks"
)

// What an admin sees and changes, step by step with one group.
func (s suite) administration() []Feature {
	admin := s.client.Admin()
	var topic string
	var member *Member
	var both []At
	offsets := func() map[At]int64 {
		found := map[At]int64{}
		for at, committed := range admin.Committed(topic, both) {
			found[at] = committed.Offset
		}
		return found
	}
	// Not every client waits for the answer to its leaving.
	empty := func() {
		Wait(func() bool { return admin.Describe(s.protocol, topic).State == "empty" }, func() string {
			return fmt.Sprint(admin.Describe(s.protocol, topic))
		})
	}
	lag := func() {
		topic = s.topic("admin", 2)
		both = []At{{topic, 0}, {topic, 1}}
		s.fill(topic, pairs(0, 20, 2))
		member = s.join(Options{Group: topic, Topics: []string{topic}, Manual: true})
		waitForValues([]*Member{member}, numbers(0, 20, 1))
		member.Commit(both[0], 4, "")
		member.Commit(both[1], 10, "")
		Equal(offsets(), map[At]int64{both[0]: 4, both[1]: 10}, "committed offsets")
		lags := admin.Ends(both)
		for at, committed := range offsets() {
			lags[at] -= committed
		}
		Equal(lags, map[At]int64{both[0]: 6, both[1]: 0}, "lag")
	}
	describe := func() {
		True(slices.Contains(admin.Groups(), topic), "the group is not listed")
		expected := Description{"stable", s.client.Assignor(s.protocol), [][]At{both}}
		Equal(admin.Describe(s.protocol, topic), expected, "the group")
	}
	notEmpty := func() {
		refused := func(err error) bool { return admin.Is(err, "NON_EMPTY_GROUP") }
		IsError(admin.DeleteGroup(topic), refused, "deleting a group with a member")
		member.Leave()
		empty()
		Equal(len(admin.Describe(s.protocol, topic).Assigned), 0, "members of an empty group")
	}
	unknown := func() {
		absent := s.name("absent")
		Equal(len(admin.Committed(absent, both)), 0, "offsets of an unknown group")
		refused := func(err error) bool { return admin.Is(err, "GROUP_ID_NOT_FOUND") }
		IsError(admin.DeleteGroup(absent), refused, "deleting an unknown group")
	}
	alter := func() {
		admin.Alter(topic, map[At]int64{both[0]: 7, both[1]: 8})
		again := s.join(Options{Group: topic, Topics: []string{topic}, Manual: true})
		waitForValues([]*Member{again}, []string{"14", "16", "18", "17", "19"})
		Equal(len(again.seen()), 5, "number of records behind the new offsets")
		again.Leave()
		empty()
	}
	deleteOffsets := func() {
		admin.DeleteOffsets(topic, both[1:])
		Equal(len(offsets()), 1, "number of offsets that are left")
	}
	deleteGroup := func() {
		NoError(admin.DeleteGroup(topic), "deleting the group")
		True(!slices.Contains(admin.Groups(), topic), "the group is still listed")
		Equal(len(offsets()), 0, "offsets of the deleted group")
	}
	return []Feature{
		{"lag", lag},
		{"list and describe groups", describe},
		{"groups with members are not deleted", notEmpty},
		{"unknown groups", unknown},
		{"alter offsets of a group", alter},
		{"delete offsets of a group", deleteOffsets},
		{"delete groups", deleteGroup},
	}
}
