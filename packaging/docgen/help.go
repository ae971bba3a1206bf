package main

import (
	"fmt"
	"strings"
)

// entry is a line of a list in a help text: a command or a flag, and what it
// is for.
type entry struct{ name, text string }

// commandGroup is a list of commands under a title.
type commandGroup struct {
	title    string
	commands []entry
}

// help is what 'vidsync help' tells about a command or topic.
type help struct {
	about    string
	usage    string
	examples string // as they are printed, indented
	groups   []commandGroup
	flags    []entry // without --help
	global   []entry
	topics   []entry
}

func helpOf(command ...string) (help, error) {
	text, err := vidsync(append([]string{"help"}, command...)...)
	if err != nil {
		return help{}, err
	}
	return parseHelp(text), nil
}

// parseHelp splits a help text: first what it is about, then, from the line
// "Usage:" on, sections with titles.
func parseHelp(text string) help {
	about, rest, _ := strings.Cut(text, "\nUsage:\n")
	h := help{about: strings.TrimSpace(about)}
	title, lines := "Usage", []string{}
	for line := range strings.Lines(rest) {
		if next, ok := strings.CutSuffix(line, ":\n"); ok && !strings.HasPrefix(line, " ") {
			h.add(title, lines)
			title, lines = next, nil
			continue
		}
		if strings.HasPrefix(line, "  ") {
			lines = append(lines, line)
		}
	}
	h.add(title, lines)
	return h
}

// add takes up a section.
func (h *help) add(title string, lines []string) {
	switch title {
	case "Usage":
		if len(lines) > 0 {
			h.usage = strings.TrimSpace(lines[0])
		}
	case "Examples":
		h.examples = strings.Join(lines, "")
	case "Flags":
		h.flags = entries(lines)
	case "Global Flags":
		h.global = entries(lines)
	case "Additional help topics":
		h.topics = topics(lines)
	default:
		h.groups = append(h.groups, commandGroup{title, entries(lines)})
	}
}

// entries reads lines of a name, at least two spaces, and a text.
func entries(lines []string) (list []entry) {
	for _, line := range lines {
		name, text, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if name != "-h, --help" {
			list = append(list, entry{name, strings.TrimSpace(text)})
		}
	}
	return list
}

// topics reads lines of the program's name, a topic and a text.
func topics(lines []string) (list []entry) {
	for _, line := range lines {
		words := strings.Fields(line)
		list = append(list, entry{words[1], strings.Join(words[2:], " ")})
	}
	return list
}

// document is what vidsync is and can do, whole.
type document struct {
	help
	commands map[string]help // by name, such as "peer add"
	topics   map[string]help
}

func readDocument() (document, error) {
	root, err := helpOf()
	if err != nil {
		return document{}, err
	}
	d := document{help: root, commands: map[string]help{}, topics: map[string]help{}}
	for _, topic := range root.topics {
		if d.topics[topic.name], err = helpOf(topic.name); err != nil {
			return d, err
		}
	}
	return d, d.read(root, nil)
}

// read takes up the commands of one level and those below them.
func (d *document) read(parent help, path []string) error {
	for _, group := range parent.groups {
		for _, command := range group.commands {
			full := append(path[:len(path):len(path)], command.name)
			h, err := helpOf(full...)
			if err != nil {
				return err
			}
			if h.usage == "" {
				return fmt.Errorf("help of %q has no usage: %q", command.name, h.about)
			}
			d.commands[strings.Join(full, " ")] = h
			if err := d.read(h, full); err != nil {
				return err
			}
		}
	}
	return nil
}
