package cli

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

const (
	eraseLine  = "\r\x1b[2K"
	lineUp     = "\x1b[1A"
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
)

// console is standard error. It may hold a few lines that are drawn again and
// again; whatever else is written takes their place first.
type console struct {
	mu    sync.Mutex
	w     io.Writer
	drawn int // lines now on the screen that draw put there
}

// Write writes ordinary text, where the drawn lines were.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drawn == 0 {
		return c.w.Write(p)
	}
	var b bytes.Buffer
	c.erase(&b)
	b.Write(p)
	if _, err := c.w.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// draw replaces the drawn lines. It is one write, so that nothing flickers.
func (c *console) draw(lines []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	c.erase(&b)
	b.WriteString(hideCursor)
	b.WriteString(strings.Join(lines, "\n"))
	c.drawn = len(lines)
	_, err := c.w.Write(b.Bytes())
	return err
}

// clear takes the drawn lines away and gives the cursor back.
func (c *console) clear() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drawn == 0 {
		return nil
	}
	var b bytes.Buffer
	c.erase(&b)
	_, err := c.w.Write(b.Bytes())
	return err
}

// erase puts into b what takes the drawn lines off the screen.
func (c *console) erase(b *bytes.Buffer) {
	if c.drawn == 0 {
		return
	}
	b.WriteString(strings.Repeat(eraseLine+lineUp, c.drawn-1))
	b.WriteString(eraseLine + showCursor)
	c.drawn = 0
}

// screen is what a stream is connected to.
type screen struct {
	terminal bool
	width    int // columns; 0 if it is no terminal
}

// screenOf looks at a stream. The width is that of now.
func screenOf(w io.Writer) screen {
	if c, ok := w.(*console); ok {
		w = c.w
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return screen{}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return screen{terminal: true, width: width}
}
