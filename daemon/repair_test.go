package daemon_test

import (
	"os"
	"testing"

	"github.com/vidsync/vidsync/api"
)

// A repair must not destroy what somebody has put in the place of a video.
func TestRepairLeavesOtherFilesAlone(t *testing.T) {
	t.Parallel() // it mostly waits
	a, b := startNode(t), startNode(t)
	a.trusts(t, b)
	b.trusts(t, a)
	_, recording := randomFile(t, "new.mp4", 5*mib+1, 31)
	tests := []struct {
		name   string
		change func(path string, data []byte) (after []byte, err error)
		words  string
	}{
		{"another recording", func(path string, _ []byte) ([]byte, error) {
			return recording, os.WriteFile(path, recording, 0o644)
		}, "something else"},
		{"still being recorded", func(path string, data []byte) ([]byte, error) {
			data = append(data, recording...)
			return data, os.WriteFile(path, data, 0o644)
		}, "grown"},
		{"gone", func(path string, _ []byte) ([]byte, error) { return nil, os.Remove(path) }, "no such file"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, data := randomFile(t, "talk.mp4", 6*mib, uint64(32+i))
			added := a.add(t, path)
			if _, err := b.Fetch(t.Context(), api.FetchRequest{Ref: added.CID}, nil); err != nil {
				t.Fatal(err)
			}
			after, err := tt.change(path, data)
			if err != nil {
				t.Fatal(err)
			}
			res, err := a.Verify(t.Context(), api.VerifyRequest{Refs: []string{added.CID}, Repair: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			v := res.Videos[0]
			if v.OK || v.Error == nil {
				t.Fatalf("verify says %+v", v)
			}
			if after == nil {
				wantCode(t, v.Error, api.CodeNotFound, tt.words)
				return
			}
			wantCode(t, v.Error, api.CodeCorrupt, tt.words)
			sameFile(t, path, after)
		})
	}
}

func TestVerifyLooksAtEveryFile(t *testing.T) {
	n := startNode(t)
	first, data := randomFile(t, "first.mp4", 3*mib, 40)
	second, _ := randomFile(t, "second.mp4", 3*mib, 40)
	added := n.add(t, first)
	if n.add(t, second).CID != added.CID {
		t.Fatal("the same bytes have two CIDs")
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	flip(t, second, mib)
	res, err := n.Verify(t.Context(), api.VerifyRequest{Refs: []string{added.CID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := res.Videos[0]
	if v.OK || len(v.Bad) != 1 || v.Bad[0].Path != second || v.Bytes != int64(len(data))-mib {
		t.Errorf("verify says %+v", v)
	}
	wantCode(t, v.Error, api.CodeCorrupt, first)
}

// Damage that nobody can repair is still damage.
func TestRepairWithoutPeers(t *testing.T) {
	t.Parallel() // it mostly waits
	n := startNode(t)
	path, _ := randomFile(t, "talk.mp4", 3*mib, 41)
	added := n.add(t, path)
	flip(t, path, 0)
	res, err := n.Verify(t.Context(), api.VerifyRequest{Refs: []string{added.CID}, Repair: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v := res.Videos[0]; v.OK || len(v.Bad) != 1 {
		t.Errorf("verify says %+v", v)
	}
	wantCode(t, res.Videos[0].Error, api.CodeCorrupt, "no provider")
}
