// Package checks runs the checks of one client and prints a line for each; the harness counts them.
package checks

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Bootstrap is the broker to test, HOST:PORT.
func Bootstrap() string {
	address := os.Getenv("SENDLOG_TEST_BOOTSTRAP")
	if address == "" {
		fmt.Fprintln(os.Stderr, "SENDLOG_TEST_BOOTSTRAP is not set")
		os.Exit(2)
	}
	return address
}

// Unique is a topic name that no earlier run has used.
func Unique(name string) string {
	suffix := make([]byte, 4)
	if _, err := rand.Read(suffix); err != nil {
		panic(err)
	}
	return fmt.Sprintf("conformance-%s-%s", name, hex.EncodeToString(suffix))
}

// Checks counts what failed.
type Checks struct {
	lock   sync.Mutex
	failed bool
	input  *bufio.Reader
}

// New starts the checks of a client.
func New(client, version string) *Checks {
	fmt.Printf("client %s %s\n", client, version)
	return &Checks{input: bufio.NewReader(os.Stdin)}
}

// Run runs one check, which fails by panicking.
func (c *Checks) Run(name string, check func()) {
	defer func() {
		reason := recover()
		c.lock.Lock()
		defer c.lock.Unlock()
		if reason != nil {
			c.failed = true
			fmt.Printf("FAIL %s: %s\n", name, strings.Join(strings.Fields(fmt.Sprint(reason)), " "))
			fmt.Fprintf(os.Stderr, "%s: %v\n%s\n", name, reason, debug.Stack())
			return
		}
		fmt.Printf("ok %s\n", name)
	}()
	check()
}

// RunIf runs one check if what it needs was done.
func (c *Checks) RunIf(done bool, name string, check func()) {
	if done {
		c.Run(name, check)
	} else {
		fmt.Printf("skip %s: nobody here owns the broker\n", name)
	}
}

// Want asks the harness, which owns the broker, to `restart` it or to `kill` and start it; whether that was done.
func (c *Checks) Want(what string) bool {
	fmt.Printf("want %s\n", what)
	answer, _ := c.input.ReadString('\n')
	return strings.TrimSpace(answer) == "done"
}

// Version of a module in the program.
func Version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version
			}
		}
	}
	return "unknown"
}

// Finish ends the program.
func (c *Checks) Finish() {
	if c.failed {
		os.Exit(1)
	}
}

// Eventually succeeds at the first try: sendlog has done what it has answered. Apache Kafka answers before its brokers
// know, so there (SENDLOG_TEST_EVENTUAL=1) the check is tried for some seconds.
func Eventually(check func()) {
	deadline := time.Now()
	if os.Getenv("SENDLOG_TEST_EVENTUAL") != "" {
		deadline = deadline.Add(10 * time.Second)
	}
	for !succeeds(check) {
		if deadline.Before(time.Now()) {
			check()
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

func succeeds(check func()) (succeeded bool) {
	defer func() { succeeded = recover() == nil }()
	check()
	return
}

// NoError fails the check on an error.
func NoError(err error, what string) {
	if err != nil {
		panic(fmt.Sprintf("%s: %v", what, err))
	}
}

// IsError fails the check unless `accept` takes the error.
func IsError(err error, accept func(error) bool, what string) {
	if err == nil || !accept(err) {
		panic(fmt.Sprintf("%s gives the error %v", what, err))
	}
}

// Equal fails the check on a difference.
func Equal(actual, expected any, what string) {
	if !reflect.DeepEqual(actual, expected) {
		panic(fmt.Sprintf("%s is %s, expected %s", what, shorten(actual), shorten(expected)))
	}
}

// SameBytes fails the check on a difference, one between null and empty included.
func SameBytes(actual, expected []byte, what string) {
	if !bytes.Equal(actual, expected) || (actual == nil) != (expected == nil) {
		panic(fmt.Sprintf("%s is %s, expected %s", what, shorten(actual), shorten(expected)))
	}
}

// True fails the check when the condition does not hold.
func True(condition bool, what string) {
	if !condition {
		panic(what)
	}
}

func shorten(value any) string {
	text := fmt.Sprintf("%#v", value)
	if 300 < len(text) {
		return fmt.Sprintf("%s... (%d characters)", text[:300], len(text))
	}
	return text
}
