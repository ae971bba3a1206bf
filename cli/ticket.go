package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"

	"github.com/vidsync/vidsync/api"
)

// maxQRBytes is what the largest QR code of the lowest redundancy holds.
const maxQRBytes = 2953

func newTicket(a *app) *cobra.Command {
	var req api.TicketRequest
	var expires durationFlag
	var qr, revoke bool
	cmd := &cobra.Command{
		Use:   "ticket REF",
		Short: "make a ticket to fetch a video, or take it back",
		Long: `Makes a ticket: one line that says which video, where it is, and that its bearer
may fetch it until the ticket expires. Whoever has the line can use it, so send it
like a password. On the other machine: 'vidsync fetch TICKET'.

With --revoke a ticket that this node made counts no more; with a CID or a name,
all that it has made for that video so far. Transfers that live by them end. It
holds at this node: others that have the video and trust this one still honour a
ticket until it expires.`,
		Example: `  vidsync ticket CID
  vidsync ticket --expires 7d --qr CID
  vidsync ticket --revoke vidsync1...   # this one
  vidsync ticket --revoke CID           # all for that video`,
		Args:              takes(1, 1, "one REF (a CID or a name; with --revoke also a ticket)"),
		ValidArgsFunction: a.completeVideos,
		RunE: func(cmd *cobra.Command, args []string) error {
			if revoke && (expires != 0 || qr) {
				return usagef("ticket --revoke makes no ticket; --expires and --qr do not go with it")
			}
			if revoke {
				return a.runRevoke(cmd.Context(), args[0])
			}
			req.Ref, req.Expires = args[0], time.Duration(expires)
			return a.runTicket(cmd.Context(), req, qr)
		},
	}
	cmd.Flags().Var(&expires, "expires", "how long the ticket is good for, as 90m or 7d")
	cmd.Flags().BoolVar(&qr, "qr", false, "also draw it as a QR code, on standard error")
	cmd.Flags().BoolVar(&revoke, "revoke", false, "take back this ticket, or all for this video so far")
	return cmd
}

func (a *app) runRevoke(ctx context.Context, ref string) error {
	var r api.Revoked
	err := a.withNode(ctx, need{}, func(ctx context.Context, s session) (err error) {
		r, err = s.Revoke(ctx, ref)
		return err
	})
	if err != nil {
		return err
	}
	text := "revoked one ticket for " + r.CID
	if r.All {
		text = "revoked all tickets so far for " + r.CID
	}
	return a.answer("revoked", r, r.CID, text)
}

func (a *app) runTicket(ctx context.Context, req api.TicketRequest, qr bool) error {
	var t api.Ticket
	err := a.withNode(ctx, need{network: true}, func(ctx context.Context, s session) (err error) {
		t, err = s.Ticket(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.answer("ticket", t, t.Ticket, t.Ticket); err != nil {
		return err
	}
	if qr {
		return a.drawQR(t.Ticket)
	}
	return nil
}

// drawQR draws to standard error, where the screen is wide enough.
func (a *app) drawQR(ticket string) error {
	if len(ticket) > maxQRBytes {
		a.hint("the ticket is too long for a QR code")
		return nil
	}
	var code bytes.Buffer
	qrterminal.GenerateWithConfig(ticket, qrterminal.Config{
		Level: qrterminal.L, Writer: &code, QuietZone: 2, HalfBlocks: true,
		BlackChar: qrterminal.BLACK_BLACK, BlackWhiteChar: qrterminal.BLACK_WHITE,
		WhiteChar: qrterminal.WHITE_WHITE, WhiteBlackChar: qrterminal.WHITE_BLACK,
	})
	first, _, _ := strings.Cut(code.String(), "\n")
	needed := utf8.RuneCountInString(first)
	if s := a.screen(a.stderr); s.terminal && s.width < needed {
		a.hint("the terminal has %d columns; the QR code needs %d", s.width, needed)
		return nil
	}
	_, err := fmt.Fprint(a.stderr, code.String())
	return err
}
