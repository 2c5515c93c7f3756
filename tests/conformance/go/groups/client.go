package groups

import "strings"

// Client is a library under test.
type Client interface {
	Name() string
	// Lacks the checks that the library cannot pass, as PROTOCOL/FEATURE.
	Lacks() []string
	// Assignor is the default one, as an admin sees it.
	Assignor(protocol string) string
	// Join starts a consumer that tells `member` what it sees.
	Join(options Options, member *Member) Consumer
	Producer() Producer
	Create(topic string, partitions int32, mayExist bool)
	Admin() Admin
}

// Consumer is a member at work.
type Consumer interface {
	// Leave closes the consumer, which commits what it has read and leaves the group.
	Leave()
	// Commit waits for the answer.
	Commit(at At, offset int64, metadata string)
	// CommitAsync does not.
	CommitAsync(at At, offset int64, metadata string)
	Pause(at At)
	Resume(at At)
	Seek(at At, offset int64)
}

// Producer writes and waits for the acknowledgements.
type Producer interface {
	Write(topic string, pairs []Pair)
	Close()
}

// Committed is an offset with its metadata.
type Committed struct {
	Offset   int64
	Metadata string
}

// Description of a group.
type Description struct {
	State    string
	Assignor string
	// Assigned are the partitions of each member.
	Assigned [][]At
}

// Admin looks at groups and changes them. An error is Kafka's, the state in lower case.
type Admin interface {
	Groups() []string
	Describe(protocol, group string) Description
	// Committed has no entry where nothing is committed.
	Committed(group string, partitions []At) map[At]Committed
	Ends(partitions []At) map[At]int64
	Alter(group string, offsets map[At]int64)
	DeleteOffsets(group string, partitions []At)
	DeleteGroup(group string) error
	// Is tells whether an error is Kafka's of that name.
	Is(err error, name string) bool
}

// Part of the interfaces that a library does not have, to be embedded; its features are among those it lacks.
type Part struct{}

func (Part) lacking() { panic("the library lacks this") }

func (p Part) Commit(At, int64, string)         { p.lacking() }
func (p Part) CommitAsync(At, int64, string)    { p.lacking() }
func (p Part) Pause(At)                         { p.lacking() }
func (p Part) Resume(At)                        { p.lacking() }
func (p Part) Seek(At, int64)                   { p.lacking() }
func (p Part) Alter(string, map[At]int64)       { p.lacking() }
func (p Part) DeleteOffsets(string, []At)       { p.lacking() }
func (p Part) Describe(_, _ string) Description { p.lacking(); return Description{} }

func named(client Client, protocol, what string) string {
	return strings.Join([]string{client.Name(), protocol, what}, "-")
}
