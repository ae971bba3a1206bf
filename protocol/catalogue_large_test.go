package protocol_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/vidsync/vidsync/protocol"
	"github.com/vidsync/vidsync/protocol/internal/wire"
)

// endless is a catalogue of many entries that exist only while they are asked
// for.
type endless struct {
	sample protocol.Entry
	count  uint64
}

func (e endless) Log() [16]byte { return [16]byte{1} }

func (e endless) Entries(_ context.Context, after uint64, limit int) ([]protocol.Entry, <-chan struct{}, error) {
	var out []protocol.Entry
	for seq := after + 1; seq <= e.count && len(out) < limit; seq++ {
		next := e.sample
		next.Seq, next.Size = seq, int64(seq)
		next.Name = fmt.Sprintf("%s%07d", e.sample.Name, seq)
		out = append(out, next)
	}
	return out, nil, nil
}

// 200,000 entries, 33 MB, pass both ends in memory that does not grow with
// them: what may lie in the stream's window, and the connections' buffers.
func TestLargeCatalogueInFlatMemory(t *testing.T) {
	const count, every, most = 200_000, 20_000, 8<<20 + 4*protocol.StreamWindow
	server, client := newHosts(t, "tcp")
	catalogue := endless{sample: entries(t, 1, 1)[0], count: count}
	serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: catalogue})
	var got, next uint64
	var low, high uint64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := protocol.FollowCatalogue(ctx, client, server.ID(), protocol.Cursor{}, func(entries []protocol.Entry, at protocol.Cursor) error {
		for _, e := range entries {
			if got++; e.Seq != got || e.Size != int64(got) {
				return fmt.Errorf("entry %d arrived as the %dth, of size %d", e.Seq, got, e.Size)
			}
		}
		if got >= next {
			next += every
			used := heapInUse()
			if low == 0 {
				low, high = used, used
			}
			low, high = min(low, used), max(high, used)
		}
		if at.Seq == count {
			cancel()
		}
		return nil
	}, protocol.ClientConfig{})
	if got != count {
		t.Fatalf("%d entries arrived: %v", got, err)
	}
	if high-low > most {
		t.Errorf("the heap grew from %d to %d bytes", low, high)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// rawBatches follows a catalogue from the start and returns the length and the
// content of each message, until there were so many entries.
func rawBatches(t *testing.T, h host.Host, server host.Host, count int) (lengths []int, batches []*wire.CatalogueBatch) {
	t.Helper()
	s := openRaw(t, h, server.ID(), protocol.CatalogueID)
	if _, err := s.Write(encode(t, &wire.Follow{})); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(s)
	var following wire.Following
	if err := protodelim.UnmarshalFrom(in, &following); err != nil || following.Status != wire.Status_STATUS_OK {
		t.Fatalf("following: %v, %v", &following, err)
	}
	for seen := 0; seen < count; {
		n, err := binary.ReadUvarint(in)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(in, data); err != nil {
			t.Fatal(err)
		}
		var batch wire.CatalogueBatch
		if err := proto.Unmarshal(data, &batch); err != nil {
			t.Fatal(err)
		}
		seen += len(batch.Entries)
		lengths, batches = append(lengths, len(data)), append(batches, &batch)
	}
	_ = s.ResetWithError(network.StreamNoError)
	return lengths, batches
}

func TestCatalogueMessages(t *testing.T) {
	usual := entries(t, 1, 1)[0]
	longest := usual
	longest.Recording = strings.Repeat("r", protocol.MaxRecordingBytes)
	longest.Name = strings.Repeat("n", protocol.MaxNameBytes-7)
	longest.RelPath = strings.Repeat("p", protocol.MaxRelPathBytes)
	longest.MediaType = strings.Repeat("m", protocol.MaxMediaTypeBytes)
	longest.State = strings.Repeat("s", protocol.MaxStateBytes)
	for _, test := range []struct {
		name             string
		sample           protocol.Entry
		count            int
		bytes            int // of an entry, at most
		messages, lowest int // messages at most and at least
	}{
		{"usual", usual, 100_000, 190, 100_000/protocol.MaxBatchEntries + 1, 100_000 / protocol.MaxBatchEntries},
		{"longest", longest, 1500, 4750, 40, 1500 * 4600 / protocol.MaxBatchBytes},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, client := newHosts(t, "tcp")
			serve(t, server, protocol.ServerConfig{Peers: trust(client), Catalogue: endless{test.sample, uint64(test.count)}})
			lengths, batches := rawBatches(t, client, server, test.count)
			sum := 0
			for i, n := range lengths {
				if n > protocol.MaxBatchBytes || len(batches[i].Entries) > protocol.MaxBatchEntries {
					t.Errorf("message of %d bytes with %d entries", n, len(batches[i].Entries))
				}
				sum += n
			}
			if sum > test.bytes*test.count {
				t.Errorf("%d bytes an entry, want at most %d", sum/test.count, test.bytes)
			}
			if len(lengths) > test.messages || len(lengths) < test.lowest {
				t.Errorf("%d messages, want %d to %d", len(lengths), test.lowest, test.messages)
			}
			t.Logf("%d bytes an entry, %d messages", sum/test.count, len(lengths))
		})
	}
}
