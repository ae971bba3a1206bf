package main

import (
	"fmt"
	"strings"
)

// places are the folders and files that the manual page names.
var places = []entry{
	{"/etc/vidsync/config.toml", "The system's configuration file. Every user's commands read it, as far as they may."},
	{"~/.config/vidsync/config.toml", "A user's configuration file."},
	{"/var/lib/vidsync, /run/vidsync", "State and socket of the system's service. Fetched videos go to /var/lib/vidsync/videos unless a setting says otherwise."},
	{"~/.local/state/vidsync, ~/.local/share/vidsync/videos", "State and fetched videos of a user's own node."},
}

// manual is the manual page vidsync(1), in roff's man macros.
func manual(version, date string) (string, error) {
	d, err := readDocument()
	if err != nil {
		return "", err
	}
	m := &page{}
	fmt.Fprintf(m, ".TH VIDSYNC 1 %q %q \"User Commands\"\n", date, "vidsync "+version)
	m.macro("SH", "NAME")
	m.line("vidsync - bring very large videos whole to other machines")
	m.macro("SH", "SYNOPSIS")
	m.macro("B", "vidsync")
	m.line("[FLAGS] COMMAND [ARGUMENTS]")
	m.macro("SH", "DESCRIPTION")
	m.prose(d.about)
	m.macro("SH", "OPTIONS")
	m.line("Every command takes these. The variable in brackets sets a flag from the environment.")
	m.list(d.flags)
	m.macro("SH", "COMMANDS")
	m.commands(d, d.help, "")
	for _, topic := range d.help.topics {
		m.macro("SH", topicTitle(topic.name))
		m.prose(d.topics[topic.name].about)
	}
	m.macro("SH", "FILES")
	m.list(places)
	return m.String(), nil
}

// topicTitle is the title under which readers of manual pages look.
func topicTitle(topic string) string {
	if topic == "exit-codes" {
		return "EXIT STATUS"
	}
	return strings.ToUpper(strings.ReplaceAll(topic, "-", " "))
}

// page is a manual page in the making.
type page struct{ strings.Builder }

// commands describes the commands of one level, each with those below it.
func (m *page) commands(d document, parent help, prefix string) {
	for _, group := range parent.groups {
		for _, command := range group.commands {
			name := prefix + command.name
			h := d.commands[name]
			m.macro("SS", strings.TrimSuffix(h.usage, " [flags]"))
			m.prose(h.about)
			m.list(h.flags)
			if h.examples != "" {
				m.macro("PP")
				m.prose("Examples:\n\n" + h.examples)
			}
			m.commands(d, h, name+" ")
		}
	}
}

// list writes entries as names with indented texts.
func (m *page) list(entries []entry) {
	for _, e := range entries {
		m.macro("TP")
		m.macro("B", e.name)
		m.line(e.text)
	}
}

// prose writes paragraphs; lines that are indented stay as they are. It follows
// a title or a macro that begins a paragraph.
func (m *page) prose(text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		verbatim := strings.HasPrefix(paragraph, "  ")
		if i > 0 {
			m.macro("PP")
		}
		if verbatim {
			m.macro("nf")
		}
		for line := range strings.Lines(paragraph) {
			m.line(strings.TrimRight(line, "\n"))
		}
		if verbatim {
			m.macro("fi")
		}
	}
}

// macro writes a request with its arguments.
func (m *page) macro(name string, args ...string) {
	fmt.Fprintf(m, ".%s", name)
	for _, arg := range args {
		fmt.Fprintf(m, " \"%s\"", escape(arg))
	}
	m.WriteByte('\n')
}

// line writes a line of text, which is never taken for a request.
func (m *page) line(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		m.WriteString(`\&`)
	}
	m.WriteString(escape(text) + "\n")
}

// escape keeps roff from giving characters a meaning or a finer shape.
func escape(text string) string {
	return escapes.Replace(text)
}

var escapes = strings.NewReplacer(
	`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`)
