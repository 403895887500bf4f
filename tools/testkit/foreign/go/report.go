package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"time"
)

const caseLimit = 90 * time.Second

type testCase struct {
	name string
	body func() error
}

type laterLine struct {
	pattern *regexp.Regexp
	reason  string
}

var cases []testCase

func feature(name string, body func() error) {
	cases = append(cases, testCase{name, body})
}

// eq is nil if both are equal, else an error that names what differs.
func eq(what string, got, want any) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("%s: got %v want %v", what, got, want)
}

// is compares errors by what they wrap.
func is(what string, got, want error) error {
	if errors.Is(got, want) {
		return nil
	}
	return fmt.Errorf("%s: got error %v want %v", what, got, want)
}

// until waits for a fact.
func until(what string, limit time.Duration, fact func() bool) error {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if fact() {
			return nil
		}
	}
	return fmt.Errorf("%s: not within %v", what, limit)
}

func laterLines() []laterLine {
	text, err := os.ReadFile(os.Getenv("NARU_LATER"))
	if err != nil {
		return nil
	}
	var lines []laterLine
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if pattern, reason, found := strings.Cut(line, "\t"); found {
			lines = append(lines, laterLine{regexp.MustCompile(pattern), reason})
		}
	}
	return lines
}

func limited(body func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("panic: %v", r)
			}
		}()
		done <- body()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(caseLimit):
		return errors.New("hangs")
	}
}

// runCases prints a verdict for each case and ends the program.
func runCases() {
	passed, failed, skipped := 0, 0, 0
	later := laterLines()
next:
	for _, c := range cases {
		if !strings.Contains(c.name, os.Getenv("ONLY")) {
			continue
		}
		for _, line := range later {
			if line.pattern.MatchString(c.name) {
				skipped++
				fmt.Printf("SKIP %s -- %s\n", c.name, line.reason)
				continue next
			}
		}
		if err := limited(c.body); err != nil {
			failed++
			text := strings.Join(strings.Fields(err.Error()), " ")
			fmt.Printf("FAIL %s -- %s\n", c.name, text[:min(len(text), 500)])
		} else {
			passed++
			fmt.Printf("PASS %s\n", c.name)
		}
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 {
		os.Exit(1)
	}
}
