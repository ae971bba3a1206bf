package daemon

import "testing"

type fakeUser struct{ share int64 }

func (f *fakeUser) SetMaxInFlight(bytes int64) { f.share = bytes }

func TestPieceMemoryIsShared(t *testing.T) {
	var m pieceMemory
	var users []*fakeUser
	var leave []func()
	check := func(want int64) {
		t.Helper()
		for i, u := range users {
			if u.share != want {
				t.Errorf("with %d fetches, number %d has %d bytes, want %d", len(users), i, u.share, want)
			}
		}
	}
	for _, want := range []int64{64 << 20, 48 << 20, 32 << 20, 24 << 20} {
		u := new(fakeUser)
		users, leave = append(users, u), append(leave, m.enter(u))
		check(want)
	}
	for range 3 {
		users, leave = users[1:], append(leave[1:], leave[0])
		leave[len(leave)-1]()
	}
	check(64 << 20)
	for range 100 {
		m.enter(new(fakeUser))
	}
	check(minInFlight)
}
